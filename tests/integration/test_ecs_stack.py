"""`wave ecs` from the first deployment to the removal, on ministack: whole templates without what it lacks.

No container runs here; tests/docker runs them.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from click.testing import CliRunner, Result

from ecs.cli import ecs
from ecs.deployment import deployer
from ecs.deployment.images import TARGETS, repository
from ecs.deployment.stacks import BODY
from ecs.templates.naming import Place
from ecs.templates.service_roles import Role, own_roles
from tests.support import stacks
from tests.support.aws import ministack

OTHER = Place("dev", project="other").stack
MAIN, BRANCH = Place("dev").stack, Place("dev", "feature/x").stack


@pytest.fixture(scope="module", autouse=True)
def server() -> Iterator[str]:
    with ministack() as address:
        yield address


@pytest.fixture(scope="module")
def secret(server: str) -> str:
    arn: str = boto3.client("secretsmanager").create_secret(Name="redis", SecretString="redis://x")["ARN"]
    return arn


@pytest.fixture(autouse=True)
def without_what_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    def render(own: tuple[Role, ...] = ()) -> str:
        return stacks.text(stacks.reduced(own))

    monkeypatch.setattr(deployer, "render", render)


@pytest.fixture(scope="module")
def images(server: str) -> None:
    ecr = boto3.client("ecr")
    for target in TARGETS.values():
        ecr.create_repository(repositoryName=repository(target))
        for tag in ("main", "feature-x", "v2"):
            manifest = json.dumps({"schemaVersion": 2, "tag": tag})
            ecr.put_image(repositoryName=repository(target), imageManifest=manifest, imageTag=tag)


def wave(*words: str, code: int = 0) -> Result:
    said = CliRunner().invoke(ecs, words)
    assert said.exit_code == code, said.output
    return said


@pytest.fixture
def deploy(secret: str, images: None) -> Any:
    def deploy(*words: str, branch: str = "main", name: str = "deploy", code: int = 0) -> str:
        shared = ["-s", f"RedisUrlSecretArn={secret}"]
        return wave(
            name, "--env", "dev", "--branch", branch, "--flows", "flows", *shared, *words, code=code
        ).output

    return deploy


def services(stack: str) -> dict[str, int]:
    found = wave(
        "status", "--env", "dev", "--branch", "main" if stack == MAIN else "feature/x", "--json"
    ).output
    return {one["service"].removeprefix(f"{stack}-"): one["desired"] for one in json.loads(found)["services"]}


def test_a_stage_from_its_first_deployment_to_its_end(deploy: Any):
    dry = deploy("--dry-run")
    assert "waves-dev-shared: new\n" in dry
    assert "waves-dev-main: new, after waves-dev-shared" in dry
    assert wave("status", "--env", "dev").output.split() == ["stack", "status"], "nothing was made"

    assert f"{MAIN}: deployed" in deploy()
    assert set(services(MAIN)) == {"control", "beat", "worker-collect", "worker-compute", "worker-solo"}
    assert deploy() == "waves-dev-shared: nothing changes\nwaves-dev-main: nothing changes\n"
    assert "nothing changes" in deploy(name="diff")

    changed = deploy("-p", "Goal=300", "--queue", "gpu=prefork:1:4096:16384", name="diff", code=1)
    assert "WorkerGpuService AWS::ECS::Service" in changed
    assert "worker-gpu" not in services(MAIN), "diff changes nothing"
    deploy("-p", "Goal=300", "--queue", "gpu=prefork:1:4096:16384")
    assert "worker-gpu" in services(MAIN)
    deploy()
    assert "worker-gpu" not in services(MAIN), "what is deployed is what the command says"


def test_a_branch_is_deployed_beside_main_scaled_and_removed(deploy: Any):
    deploy()
    before = services(MAIN)
    assert f"{BRANCH}: deployed" in deploy(branch="feature/x")
    assert deploy(branch="feature/x") == f"{BRANCH}: nothing changes\n"
    assert wave("scale", "worker-compute", "3", "--env", "dev", "--branch", "feature/x").output == (
        f"{BRANCH}-worker-compute: 3 wanted\n"
    )
    assert services(BRANCH)["worker-compute"] == 3
    assert services(BRANCH)["beat"] == 0, "a branch costs nothing until somebody submits a wave of it"
    deploy("-p", "Goal=300", branch="feature/x")
    wave("scale", "worker-compute", "3", "--env", "dev", "--branch", "feature/x")
    assert services(BRANCH)["worker-compute"] == 3
    words = ["destroy", "--env", "dev", "--branch", "feature/x", "--yes", "--keep-data"]
    assert f"{BRANCH}: removed" in wave(*words).output
    assert wave(*words).output == f"{BRANCH}: there is none\n"
    assert services(MAIN) == before
    left = boto3.client("ecs").list_clusters()["clusterArns"]
    assert len(left) == 1, "that of main"


def test_each_version_has_its_own_queues_tasks_and_rule(deploy: Any):
    deploy("-p", "ApiTokens=ana=sha256:0")
    deploy("-p", "ApiTokens=ana=sha256:0", branch="feature/x")
    client = boto3.client("ecs")
    for version, stack in (("main", MAIN), ("feature/x", BRANCH)):
        task = client.describe_task_definition(taskDefinition=f"{stack}-worker-collect")["taskDefinition"]
        (container,) = task["containerDefinitions"]
        assert f"{version}.collect" in container["command"]
        env = {each["name"]: each["value"] for each in container["environment"]}
        assert (env["PIPELINE_VERSION"], env["PIPELINE_STAGE"]) == (version, "dev")
        assert task["taskRoleArn"] != task["executionRoleArn"]
        control = client.describe_task_definition(taskDefinition=f"{stack}-control")["taskDefinition"]
        told = {each["name"]: each["value"] for each in control["containerDefinitions"][0]["environment"]}
        assert f'"{version}.compute"' in told["ECS_SERVICES"]
        assert json.loads(told["ECS_SERVICES"])
    elb = boto3.client("elbv2")
    (balancer,) = elb.describe_load_balancers()["LoadBalancers"]
    (listener,) = elb.describe_listeners(LoadBalancerArn=balancer["LoadBalancerArn"])["Listeners"]
    rules = elb.describe_rules(ListenerArn=listener["ListenerArn"])["Rules"]
    numbers = [int(rule["Priority"]) for rule in rules if rule["Priority"] != "default"]
    assert sorted(numbers) == sorted([1, Place("dev", "feature/x").priority, 49_999, 50_000])
    wave("destroy", "--env", "dev", "--branch", "feature/x", "--yes", "--keep-data")


def test_a_template_too_long_for_a_text_goes_by_way_of_the_bucket(deploy: Any):
    kinds = [f"kind{n}" for n in range(8)]
    assert len(stacks.text(stacks.reduced(own_roles(kinds)))) > BODY
    deploy(*(word for kind in kinds for word in ("--queue", kind)))
    s3 = boto3.client("s3")
    (bucket,) = [each["Name"] for each in s3.list_buckets()["Buckets"]]
    keys = [each["Key"] for each in s3.list_objects_v2(Bucket=bucket, Prefix="templates/")["Contents"]]
    assert keys
    assert {f"worker-{kind}" for kind in kinds} <= set(services(MAIN))
    deploy()


def test_after_a_deployment_that_failed_in_the_middle_the_next_one_ends_well(
    deploy: Any, monkeypatch: pytest.MonkeyPatch
):
    """What a rollback restores is CloudFormation's to do; ours is to tell of it, and to go on from there."""
    other = ["--project", "other"]

    def broken(own: tuple[Role, ...] = ()) -> str:
        found = stacks.reduced(own)
        last = {"Type": "AWS::None::Such", "DependsOn": "BeatService", "Properties": {}}
        found["Resources"]["Broken"] = last
        return stacks.text(found)

    with monkeypatch.context() as patch:
        patch.setattr(deployer, "render", broken)
        said = deploy(*other, code=2)
    assert "other-dev-main failed and is in ROLLBACK_COMPLETE. What was made is removed" in said
    assert "Broken (AWS::None::Such): Unsupported resource type" in said
    assert "Traceback" not in said
    assert "other-dev-shared: nothing changes\nother-dev-main: new" in deploy(*other)
    with monkeypatch.context() as patch:
        patch.setattr(deployer, "render", broken)
        said = deploy(*other, "-p", "Goal=301", code=2)
    assert "other-dev-main failed and is in UPDATE_ROLLBACK_COMPLETE. It was taken back" in said
    assert "other-dev-main: deployed" in deploy(*other, "-p", "Goal=302")
    assert deploy(*other, "-p", "Goal=302").endswith("other-dev-main: nothing changes\n")
    assert f"{OTHER}: removed" in wave("destroy", "--env", "dev", *other, "--yes").output


def test_logs_of_an_environment_and_of_one_role_are_shown(deploy: Any):
    deploy()
    client = boto3.client("logs")
    outputs = boto3.client("cloudformation").describe_stacks(StackName=MAIN)["Stacks"][0]["Outputs"]
    (group,) = [each["OutputValue"] for each in outputs if each["OutputKey"] == "Logs"]
    now = int(time.time() * 1000)
    for stream, text in (("control/control/1", "one leads"), ("beat/beat/2", "a wave is due")):
        client.create_log_stream(logGroupName=group, logStreamName=stream)
        events = [{"timestamp": now, "message": text}]
        client.put_log_events(logGroupName=group, logStreamName=stream, logEvents=events)
    both = wave("logs", "--env", "dev").output
    assert "control  one leads" in both
    assert "beat  a wave is due" in both
    assert "one leads" in wave("logs", "control", "--env", "dev").output
    said = wave("logs", "contol", "--env", "dev", code=2).output
    assert "waves-dev-main has no role 'contol'. Did you mean 'control'?" in said
