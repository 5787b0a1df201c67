"""The CloudFormation templates: clean by cfn-lint, and what must hold of every role."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ecs.control.services import read_services
from ecs.deployment.deployer import SHARED
from ecs.deployment.stacks import BODY
from ecs.templates.autoscaling import NAMESPACE
from ecs.templates.environment import render, template
from ecs.templates.service_roles import COMPUTE, DRAIN, ROLES, STOP_TIMEOUT, own_roles
from pipeline.errors import SettingsError

URL_LIMIT = 1_000_000  # bytes that CloudFormation reads from S3
MANY = [f"kind{n}" for n in range(8)]
TEMPLATE = template()
RESOURCES: dict[str, dict[str, Any]] = TEMPLATE["Resources"]
SCALING = [role for role in ROLES if role.scales]


def of_kind(kind: str) -> Iterator[tuple[str, dict[str, Any]]]:
    return ((name, found["Properties"]) for name, found in RESOURCES.items() if found["Type"] == kind)


def containers() -> list[tuple[str, dict[str, Any]]]:
    tasks = of_kind("AWS::ECS::TaskDefinition")
    return [(each["Name"], each) for _, task in tasks for each in task["ContainerDefinitions"]]


def statements() -> list[dict[str, Any]]:
    found = [
        one["Fn::If"][1] if "Fn::If" in one else one
        for _, role in of_kind("AWS::IAM::Role")
        for policy in role["Policies"]
        for one in policy["PolicyDocument"]["Statement"]
    ]
    assert found
    return found


def listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def test_cfn_lint_finds_nothing_in_either_template(tmp_path: Path):
    path = tmp_path / "environment.json"
    path.write_text(render(own_roles(["gpu=prefork:1:4096:16384"])))
    linter = str(Path(sys.executable).with_name("cfn-lint"))
    command = [linter, "--non-zero-exit-code", "informational", str(SHARED), str(path)]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (found.stdout + found.stderr, found.returncode) == ("", 0)


def test_templates_are_short_enough_as_a_text_or_by_their_address():
    assert len(SHARED.read_text().encode()) < BODY, "there is no bucket yet that it could be read from"
    assert len(render(own_roles(MANY)).encode()) < URL_LIMIT / 8


def test_no_role_may_do_everything_of_a_service():
    actions = [action for one in statements() for action in listed(one["Action"])]
    assert not [action for action in actions if "*" in action]


def test_only_actions_that_know_no_resource_are_allowed_on_all():
    wide = {action for one in statements() if one["Resource"] == "*" for action in listed(one["Action"])}
    assert wide == {"ecr:GetAuthorizationToken", "cloudwatch:PutMetricData"}


def test_the_control_service_writes_into_its_own_namespace_only():
    (one,) = [one for one in statements() if "cloudwatch:PutMetricData" in one["Action"]]
    assert one["Condition"] == {"StringEquals": {"cloudwatch:namespace": NAMESPACE}}


def allowed(role: str) -> set[str]:
    policy = RESOURCES[f"{role}Role"]["Properties"]["Policies"][0]["PolicyDocument"]
    return {action for one in policy["Statement"] for action in listed(one["Action"])}


def test_each_kind_of_task_may_do_what_it_does_and_no_more():
    read, write = {"s3:ListBucket", "s3:GetObject"}, {"s3:ListBucket", "s3:GetObject", "s3:PutObject"}
    protect = {"ecs:GetTaskProtection", "ecs:UpdateTaskProtection"}
    scale = {"ecs:DescribeServices", "ecs:UpdateService", "cloudwatch:PutMetricData"}
    assert allowed("Serve") == read
    assert allowed("Web") == write | {"sns:Publish"}
    assert allowed("Worker") == write | {"s3:DeleteObject", "sns:Publish"} | protect
    assert allowed("Control") == write | {"sns:Publish"} | scale


def test_each_task_runs_by_the_role_of_its_kind_and_beat_by_none():
    found = {name: task.get("TaskRoleArn") for name, task in of_kind("AWS::ECS::TaskDefinition")}
    expected = {"Control": "Control", "Beat": "", "WorkerCollect": "Worker", "WorkerCompute": "Worker",
                "WorkerSolo": "Worker", "Web": "Web", "ServeWorker": "Serve"}  # fmt: skip
    assert found == {
        f"{name}Task": {"Fn::GetAtt": [f"{role}Role", "Arn"]} if role else None
        for name, role in expected.items()
    }


def rules() -> dict[str, dict[str, Any]]:
    return dict(of_kind("AWS::ElasticLoadBalancingV2::ListenerRule"))


def test_a_request_that_names_no_version_reaches_main_and_an_unknown_one_is_told():
    found = rules()
    (anything,) = found["DefaultRule"]["Conditions"]
    assert anything["PathPatternConfig"]["Values"] == ["/*"]
    assert found["DefaultRule"]["Actions"] == found["WebRule"]["Actions"]
    (header,) = found["UnknownRule"]["Conditions"]
    assert header["HttpHeaderConfig"] == {"HttpHeaderName": "Pipeline-Version", "Values": ["*"]}
    assert found["UnknownRule"]["Actions"][0]["FixedResponseConfig"]["StatusCode"] == "404"
    assert found["UnknownRule"]["Priority"] < found["DefaultRule"]["Priority"] == 50_000
    assert {RESOURCES[name]["Condition"] for name in ("UnknownRule", "DefaultRule")} == {"IsDefault"}
    assert TEMPLATE["Conditions"]["IsDefault"]["Fn::And"][1] == {"Fn::Equals": [{"Ref": "Version"}, "main"]}
    assert TEMPLATE["Parameters"]["Priority"]["MaxValue"] < found["UnknownRule"]["Priority"]


def test_a_kind_of_queue_of_ones_own_gets_workers_that_scale():
    found = template(own_roles(["gpu=threads:3:4096:16384", "big_files"]))["Resources"]
    task = found["WorkerGpuTask"]["Properties"]
    assert (task["Cpu"], task["Memory"]) == ("4096", "16384")
    words = [
        word["Fn::Sub"] if isinstance(word, dict) else word
        for word in task["ContainerDefinitions"][0]["Command"]
    ]
    assert words[:7] == ["worker", "-P", "threads", "-c", "3", "-Q", "${Version}.gpu"]
    assert found["WorkerGpuTracking"]["Type"] == found["WorkerComputeTracking"]["Type"]
    assert found["WorkerBigFilesTask"]["Properties"]["Cpu"] == str(COMPUTE.cpu)
    env = found["ControlTask"]["Properties"]["ContainerDefinitions"][0]["Environment"]
    told = next(each["Value"] for each in env if each["Name"] == "ECS_SERVICES")
    assert '"queues": ["${Version}.big_files"]' in told["Fn::If"][2]["Fn::Sub"]


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (["a b"], "'a b' cannot name workers. Use up to 20 letters"),
        (["control"], "control is the engine's own"),
        (["compute"], "workers of the same name twice: worker-compute"),
        (["gpu", "GPU"], "Name each kind of queue once"),
        (["gpu=2"], "as in --queue gpu=prefork:2:2048:4096"),
        (["gpu=green:1:256:512"], "Write pool (prefork, threads), slots"),
        (["gpu=prefork:1:300:512"], "Fargate has no task of 300 CPU and 512 MiB. It has 256 with 512 to 2048"),
        (["gpu=prefork:1:4096:8000"], "Fargate has no task of 4096 CPU and 8000 MiB"),
        ([f"kind{n}" for n in range(9)], "9 kinds of queues are too many for one template: 8 are the most"),
    ],
)  # fmt: skip
def test_a_queue_that_cannot_be_is_told(texts: list[str], said: str):
    with pytest.raises(SettingsError) as error:
        own_roles(texts)
    assert said in str(error.value)


@pytest.mark.parametrize(("name", "container"), containers())
def test_every_container_is_hardened_and_drains_in_time(name: str, container: dict[str, Any]):
    assert container["ReadonlyRootFilesystem"]
    assert container["User"] == "10001"
    assert container["StopTimeout"] == STOP_TIMEOUT == 120
    env = {each["Name"]: each["Value"] for each in container["Environment"]}
    assert float(env["PIPELINE_DRAIN"].removesuffix("s")) == DRAIN < STOP_TIMEOUT
    assert {"PIPELINE_VERSION", "PIPELINE_FLOWS", "PIPELINE_MODELS", "PIPELINE_STAGE"} <= env.keys()
    assert env["PIPELINE_HEARTBEAT"].startswith("/tmp/")


@pytest.mark.parametrize(("name", "container"), containers())
def test_the_address_of_redis_is_a_secret_everywhere(name: str, container: dict[str, Any]):
    assert [each["Name"] for each in container["Secrets"]] == ["REDIS_URL"]
    assert "REDIS_URL" not in {each["Name"] for each in container["Environment"]}


def test_health_is_a_look_at_the_heartbeat():
    asked = {name: each["HealthCheck"]["Command"] for name, each in containers() if "HealthCheck" in each}
    assert set(asked) == {name for name, _ in containers()}
    assert set(map(tuple, asked.values())) == {("CMD", "python", "-m", "pipeline.workers.liveness")}


def test_every_kind_of_queue_is_taken_from_by_one_container():
    words = [json.dumps(each["Command"]) for _, each in containers()]
    for kind in ("control", "collect", "compute", "solo"):
        assert sum(f"${{Version}}.{kind}" in text for text in words) == 1


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_a_deployment_that_fails_is_taken_back(role: Any):
    deployment = RESOURCES[f"{role.key}Service"]["Properties"]["DeploymentConfiguration"]
    assert deployment["DeploymentCircuitBreaker"] == {"Enable": True, "Rollback": True}


@pytest.mark.parametrize("role", SCALING, ids=lambda role: role.name)
def test_workers_may_go_to_zero_and_a_deployment_leaves_their_count(role: Any):
    assert RESOURCES[f"{role.key}Scalable"]["Properties"]["MinCapacity"] == 0
    assert "DesiredCount" not in RESOURCES[f"{role.key}Service"]["Properties"]


@pytest.mark.parametrize("role", SCALING, ids=lambda role: role.name)
def test_what_scales_reads_the_metrics_that_control_writes(role: Any):
    policy = RESOURCES[f"{role.key}Tracking"]["Properties"]["TargetTrackingScalingPolicyConfiguration"]
    metrics = policy["CustomizedMetricSpecification"]["Metrics"]
    own = [m["MetricStat"]["Metric"] for m in metrics if "MetricStat" in m]
    assert {m["MetricName"] for m in own if m["Namespace"] == NAMESPACE} == {
        "backlog_seconds",
        "planned_seconds",
        "in_flight",
    }
    assert {d["Name"] for m in own if m["Namespace"] == NAMESPACE for d in m["Dimensions"]} == {
        "Cluster",
        "Service",
    }
    assert [m["Id"] for m in metrics if m["ReturnData"]] == ["per_task"]
    assert policy["ScaleInCooldown"] > policy["ScaleOutCooldown"]


def test_the_control_service_is_told_services_that_it_understands():
    env = {each["Name"]: each["Value"] for each in dict(containers())["control"]["Environment"]}
    values = {
        "AWS::StackName": "waves-dev-main",
        "Version": "main",
        "MaxTasks": "50",
        "Goal": "600",
        "ServeModel": "m",
    }
    with_model, without = (each["Fn::Sub"] for each in env["ECS_SERVICES"]["Fn::If"][1:])
    for text, count in ((with_model, 4), (without, 3)):
        found = read_services(re.sub(r"\$\{([^}]+)\}", lambda m: values[m[1]], text))
        assert len(found) == count
        assert found[1].name == "waves-dev-main-worker-compute"
        assert found[1].queues == ("main.compute",)


def test_every_import_is_exported_by_the_shared_stack():
    imported = set(re.findall(r"\$\{Shared\}-(\w+)", render()))
    assert imported == set(re.findall(r"\$\{AWS::StackName\}-(\w+)\"", SHARED.read_text()))
