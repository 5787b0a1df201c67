"""A Lambda function: takes what one stage has promoted to the next one. It stands alone, without celery-waves.

A model is promoted by a task of this stage, behind this stage's gate; an image by updating the stage's stack.
"""

import hashlib
import json
import os
import re
from typing import Any

import boto3

BEFORE = {"test": "dev", "prod": "test"}
WORD = re.compile(r"[\w@][\w@.:/+ -]*")


def handler(event: dict[str, Any], context: object) -> list[str]:
    """Take the messages of the topic, and say what became of each."""
    said = []
    for record in event["Records"]:
        try:
            said.append(take(json.loads(record["Sns"]["Message"])))
        except ValueError as error:
            said.append(f"refused: {error}")
    print(json.dumps(said))  # noqa: T201 - Lambda's log
    return said


def take(body: dict[str, Any]) -> str:
    """Start a deployment. Raises ValueError, with the reason, for what does not pass the checks."""
    stage = os.environ["STAGE"]
    if body.get("stage") != BEFORE.get(stage):
        raise ValueError(f"{body.get('stage')!r} is not the stage before {stage}")
    if body.get("event") == "promoted":
        return model(body, stage)
    if body.get("event") == "deployed":
        return image(body)
    raise ValueError(f"{body.get('event')!r} starts nothing: promoted or deployed does")


def model(body: dict[str, Any], stage: str) -> str:
    """Let a task promote a model."""
    words = [str(body.get(key, "")) for key in ("name", "partition", "version")]
    for key, word in zip(("name", "partition", "version"), words, strict=True):
        if not WORD.fullmatch(word):
            raise ValueError(f"{key}={word!r} is not a name")
    if body.get("forced"):
        raise ValueError(f"{words[0]} {words[2]} was forced past its gate: promote it by hand")
    metrics = body.get("metrics") or {}
    if not metrics.get("mae", 1) <= metrics.get("naive_mae", 0):
        raise ValueError(f"{words[0]} {words[2]} is no better than the seasonal naive, or was not measured")
    ecs, cluster, service = boto3.client("ecs"), os.environ["CLUSTER"], os.environ["SERVICE"]
    own = ecs.describe_services(cluster=cluster, services=[service])["services"][0]
    name, partition, version = words
    command = ["model", "promote", name, "--partition", partition, "--version", version, "--stage", stage]
    command += ["--why", f"promoted at {body['stage']}"]
    answer = ecs.run_task(
        cluster=cluster,
        taskDefinition=own["taskDefinition"],
        launchType="FARGATE",
        networkConfiguration=own["networkConfiguration"],
        overrides={"containerOverrides": [{"name": "control", "command": command}]},
        startedBy="promotion",
        # SNS may bring a message twice.
        clientToken=hashlib.sha256(json.dumps([*words, stage, body.get("number")]).encode()).hexdigest(),
    )
    if not answer["tasks"]:
        raise RuntimeError(f"ECS starts no task: {answer['failures']}")  # SNS tries again
    return f"promoting {name} of {partition} {version} to {stage}"


def image(body: dict[str, Any]) -> str:
    """Update the stack of this stage to other images."""
    stack, role = os.environ["STACK"], os.environ["DEPLOY_ROLE"]
    images = {key: str(body.get(key, "")) for key in ("WorkerImage", "WebImage")}
    if not role:
        raise ValueError("images are not taken over: the parameter DeployRoleArn is empty")
    if not all(re.fullmatch(r"[\w.:/@-]+", name) for name in images.values()):
        raise ValueError(f"{images} are not images")
    cloud = boto3.client("cloudformation")
    own = cloud.describe_stacks(StackName=stack)["Stacks"][0]["Parameters"]
    keys = [each["ParameterKey"] for each in own]
    kept = [{"ParameterKey": key, "UsePreviousValue": True} for key in keys if key not in images]
    new = [{"ParameterKey": key, "ParameterValue": value} for key, value in images.items()]
    cloud.update_stack(
        StackName=stack,
        UsePreviousTemplate=True,
        Parameters=kept + new,
        Capabilities=["CAPABILITY_IAM"],
        RoleARN=role,
    )
    return f"deploying {images['WorkerImage']} to {stack}"
