"""Deployments, promotions and clean-ups: boto3's calls against a server over HTTP, and a real Redis.

The server knows too little for the templates as they are: those are checked by cfn-lint, and the calls here with small
ones.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from redis import Redis

from ecs.deployment.aws_clients import clients
from ecs.deployment.deployer import Deployer, Part
from ecs.deployment.errors import CloudError, DeployFailed
from ecs.deployment.images import check_images
from ecs.deployment.services import scale
from ecs.deployment.stacks import Stacks
from ecs.deployment.version_keys import clean, count
from ecs.templates import promotion_function
from ecs.templates.naming import Place
from forecasting.registry import ModelSettings, Registry
from pipeline.errors import SettingsError
from pipeline.settings import Settings
from pipeline.waves.runtime import Runtime
from tests.contracts.models import GOOD, SPAN, Level
from tests.support.aws import REGION, aws


@pytest.fixture(scope="module", autouse=True)
def server() -> Iterator[str]:
    with aws() as address:
        yield address


@pytest.fixture
def stacks() -> Stacks:
    return Stacks(clients(REGION)("cloudformation"), pause=0.05, limit=20)


def small(**topics: str) -> str:
    found = {
        name: {"Type": "AWS::SNS::Topic", "Properties": {"TopicName": topic}}
        for name, topic in topics.items()
    }
    return json.dumps({"Parameters": {"Stage": {"Type": "String"}}, "Resources": found})


def deploy(stacks: Stacks, *parts: Part, dry: bool = False) -> tuple[bool, list[str]]:
    said: list[str] = []
    return Deployer(stacks, said.append).deploy(list(parts), dry=dry), said


def test_a_deployment_twice_in_a_row_changes_nothing_the_second_time(stacks: Stacks):
    part = Part("twice", small(First="twice-1"), {"Stage": "dev"})
    assert deploy(stacks, part)[0]
    changed, said = deploy(stacks, part)
    assert (changed, said) == (False, ["twice: nothing changes"])
    assert stacks.find("twice")["StackStatus"] == "CREATE_COMPLETE"


def test_a_dry_run_says_what_would_change_and_changes_nothing(stacks: Stacks):
    changed, said = deploy(stacks, Part("dry", small(First="dry-1"), {"Stage": "dev"}), dry=True)
    assert changed
    assert said == ["dry: new", "  add     First AWS::SNS::Topic"]
    assert stacks.find("dry") is None
    deploy(stacks, Part("dry", small(First="dry-1"), {"Stage": "dev"}))
    _, said = deploy(stacks, Part("dry", small(First="dry-1", Second="dry-2"), {"Stage": "dev"}), dry=True)
    assert "  add     Second AWS::SNS::Topic" in said
    topics = boto3.client("sns").list_topics()["Topics"]
    assert not [each for each in topics if each["TopicArn"].endswith("dry-2")]


def test_a_stack_is_removed_and_removing_it_again_is_no_error(stacks: Stacks):
    deploy(stacks, Part("gone", small(First="gone-1"), {"Stage": "dev"}))
    assert stacks.delete("gone")
    assert not stacks.delete("gone")
    assert stacks.find("gone") is None


class Answers:
    """A client of cloudformation that tells of a stack in some condition; what else is asked goes to the server."""

    def __init__(self, *statuses: str, events: list[dict[str, str]] | None = None) -> None:
        self._client = clients(REGION)("cloudformation")
        self._statuses = list(statuses)
        self._events = events or []
        self.deleted: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def describe_stacks(self, StackName: str) -> Any:
        status = self._statuses.pop(0) if len(self._statuses) > 1 else self._statuses[0]
        return {"Stacks": [{"StackName": StackName, "StackStatus": status}]}

    def delete_stack(self, StackName: str) -> None:
        self.deleted.append(StackName)

    def execute_change_set(self, **_: Any) -> None:
        pass

    def get_paginator(self, name: str) -> Any:
        class Pages:
            def paginate(_, **__: Any) -> list[Any]:
                return [{"StackEvents": self._events}]

        return Pages()


def test_what_a_failed_first_deployment_left_is_removed_before_the_next():
    answers = Answers("ROLLBACK_COMPLETE", "ROLLBACK_COMPLETE", "DELETE_COMPLETE")
    planned = Stacks(answers, pause=0.01, limit=5).plan("failed", small(First="failed-1"), {"Stage": "dev"})
    assert answers.deleted == ["failed"]
    assert planned is not None
    assert planned.new


@pytest.mark.parametrize(
    ("status", "text"),
    [
        ("UPDATE_IN_PROGRESS", "another deployment is at work. Wait until it ends."),
        ("UPDATE_ROLLBACK_FAILED", "aws cloudformation continue-update-rollback --stack-name x"),
    ],
)
def test_a_stack_that_cannot_be_deployed_now_is_told(status: str, text: str):
    with pytest.raises(CloudError) as error:
        Stacks(Answers(status), pause=0.01).plan("x", small(), {})
    assert text in str(error.value)


def test_a_deployment_that_fails_names_the_resource_and_why():
    events = [
        {"EventId": "2", "LogicalResourceId": "WebService", "ResourceType": "AWS::ECS::Service",
         "ResourceStatus": "UPDATE_FAILED", "ResourceStatusReason": "circuit breaker"},
        {"EventId": "1", "LogicalResourceId": "Other", "ResourceType": "AWS::ECS::Service",
         "ResourceStatus": "UPDATE_FAILED", "ResourceStatusReason": "Resource update cancelled"},
    ]  # fmt: skip
    answers = Answers("UPDATE_ROLLBACK_COMPLETE", events=events)
    stacks = Stacks(answers, pause=0.01, limit=5)
    text = stacks._failure("x", "UPDATE_ROLLBACK_COMPLETE", "")
    assert "x failed and is in UPDATE_ROLLBACK_COMPLETE. It was taken back: what ran before runs." in text
    assert "WebService (AWS::ECS::Service): circuit breaker" in text
    assert "Other" not in text


def test_a_deployment_that_does_not_end_is_told(stacks: Stacks):
    with pytest.raises(DeployFailed, match=r"the stack x has not ended after 0\.05 s; it goes on"):
        Stacks(Answers("DELETE_IN_PROGRESS"), pause=0.01, limit=0.05).delete("x")


def test_images_that_were_not_pushed_are_told_before_anything_is_deployed():
    with pytest.raises(
        CloudError, match=r"no image celery-waves-worker:v1 in ECR\. Push it: wave ecs push --tag v1"
    ):
        check_images(clients(REGION), "v1")


@pytest.fixture(scope="module")
def running(server: str) -> dict[str, str]:
    """A service of the control task of an environment, and the stack that tells of its cluster."""
    ecs, ec2 = boto3.client("ecs"), boto3.client("ec2")
    ecs.create_cluster(clusterName="waves")
    subnet = ec2.describe_subnets()["Subnets"][0]["SubnetId"]
    group = ec2.describe_security_groups()["SecurityGroups"][0]["GroupId"]
    container = {"name": "control", "image": "x", "memory": 128}
    task = ecs.register_task_definition(
        family="waves-test-main-control", requiresCompatibilities=["FARGATE"], networkMode="awsvpc", cpu="256",
        memory="512", containerDefinitions=[container],
    )  # fmt: skip
    arn = task["taskDefinition"]["taskDefinitionArn"]
    network = {
        "awsvpcConfiguration": {"subnets": [subnet], "securityGroups": [group], "assignPublicIp": "DISABLED"}
    }
    ecs.create_service(
        cluster="waves", serviceName="waves-test-main-control", taskDefinition=arn, desiredCount=0,
        launchType="FARGATE", networkConfiguration=network,
    )  # fmt: skip
    template = {
        "Resources": {"Topic": {"Type": "AWS::SNS::Topic"}},
        "Outputs": {"Cluster": {"Value": "waves"}},
    }
    # Not by a change set, after which the server tells no outputs.
    boto3.client("cloudformation").create_stack(
        StackName="waves-test-main", TemplateBody=json.dumps(template)
    )
    return {
        "STAGE": "test",
        "CLUSTER": "waves",
        "SERVICE": "waves-test-main-control",
        "STACK": "waves-test-main",
        "DEPLOY_ROLE": "",
    }


def test_a_role_is_scaled_and_an_unknown_one_is_told_with_the_near(running: dict[str, str]):
    scale(clients(REGION), Place("test"), "control", 2)
    found = boto3.client("ecs").describe_services(cluster="waves", services=[running["SERVICE"]])["services"][
        0
    ]
    assert found["desiredCount"] == 2
    with pytest.raises(SettingsError, match=r"has no role 'contol'\. Did you mean 'control'\?"):
        scale(clients(REGION), Place("test"), "contol", 2)
    with pytest.raises(CloudError, match=r"there is no stack 'waves-prod-main'\. `wave ecs deploy` makes it"):
        scale(clients(REGION), Place("prod"), "control", 2)


def published(tmp_path: Path, metrics: dict[str, float], **options: Any) -> dict[str, Any]:
    """What the registry publishes when it promotes a model at dev."""
    sent: list[dict[str, Any]] = []
    registry = Registry(tmp_path, ModelSettings(), sent.append)
    version = registry.save("delay", "JFK", Level(1), SPAN, entities=1, metrics=metrics).version
    registry.promote("delay", "JFK", version, "dev", **options)
    return json.loads(json.dumps(sent[0]))


def handed(body: dict[str, Any]) -> str:
    (said,) = promotion_function.handler({"Records": [{"Sns": {"Message": json.dumps(body)}}]}, None)
    return said


@pytest.fixture
def stage(running: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in running.items():
        monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("stage")
def test_a_model_that_dev_promotes_is_promoted_by_a_task_of_test(tmp_path: Path):
    body = published(tmp_path, GOOD)
    assert handed(body) == f"promoting delay of JFK {body['version']} to test"
    ecs = boto3.client("ecs")
    (arn, *_) = ecs.list_tasks(cluster="waves")["taskArns"]
    task = ecs.describe_tasks(cluster="waves", tasks=[arn])["tasks"][0]
    (override,) = task["overrides"]["containerOverrides"]
    version = ["--partition", "JFK", "--version", body["version"], "--stage", "test"]
    assert override["command"] == ["model", "promote", "delay", *version, "--why", "promoted at dev"]


@pytest.mark.usefixtures("stage")
@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"stage": "prod"}, "refused: 'prod' is not the stage before test"),
        ({"event": "rolled back"}, "refused: 'rolled back' starts nothing"),
        ({"forced": True}, "was forced past its gate: promote it by hand"),
        ({"metrics": {}}, "is no better than the seasonal naive, or was not measured"),
        ({"metrics": {"mae": 2.0, "naive_mae": 1.0}}, "is no better than the seasonal naive"),
        ({"name": "--force"}, "name='--force' is not a name"),
        ({"event": "deployed"}, "images are not taken over: the parameter DeployRoleArn is empty"),
    ],
)
def test_what_does_not_pass_the_checks_starts_nothing(tmp_path: Path, change: dict[str, Any], text: str):
    assert text in handed(published(tmp_path, GOOD) | change)


@pytest.mark.usefixtures("stage")
def test_a_message_that_is_no_json_is_refused():
    assert promotion_function.handler({"Records": [{"Sns": {"Message": "hello"}}]}, None)[0].startswith(
        "refused: Expecting"
    )


def test_all_keys_of_a_version_go_and_those_of_others_stay(redis_url: str, redis_client: Redis):
    runtime = Runtime(Settings(redis_url=redis_url))
    for version in ("main", "feature", "feature/x"):
        runtime.store.put(version, "delay", "2999-06-25T13", {"JFK": 1.5, "LGA": 2.5}, 3600)
        for kind in ("totals", "costs", "scheduled", "seen"):
            redis_client.set(f"{kind}:{version}/delays", 1)
        redis_client.set(f"wave:{version}/delays 2999-06-25T13", 1)
        redis_client.zadd("waves", {f"{version}/delays 2999-06-25T13": 1})
        redis_client.zadd("deadlines", {f"{version}/delays 2999-06-25T13 delay 0": 1})
        redis_client.sadd("totals", f"{version}/delays")
        redis_client.rpush(f"{version}.compute", "message")
    before = count(runtime, "feature/x")
    assert before == count(runtime, "main") > 6
    assert clean(runtime, "feature") == before
    assert count(runtime, "feature") == 0
    assert count(runtime, "feature/x") == count(runtime, "main") == before
    assert redis_client.zrange("waves", 0, -1) == [
        b"feature/x/delays 2999-06-25T13",
        b"main/delays 2999-06-25T13",
    ]
    assert redis_client.zcard("deadlines") == redis_client.scard("totals") == 2
    assert clean(runtime, "feature") == 0


def test_the_pipes_of_main_are_never_removed(redis_url: str):
    with pytest.raises(SettingsError, match=r"the pipes of 'main' are what the others are compared with"):
        clean(Runtime(Settings(redis_url=redis_url)), "main")
