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

from ecs.autoscaling import AT_ZERO, NAMESPACE, PER_TASK
from ecs.deploying import SHARED
from ecs.environment import render, template
from ecs.roles import DRAIN, ROLES, STOP_TIMEOUT
from ecs.services import read_services

BODY_LIMIT = 51_200  # bytes that CloudFormation takes as a text
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
    path.write_text(render())
    linter = str(Path(sys.executable).with_name("cfn-lint"))
    command = [linter, "--non-zero-exit-code", "informational", str(SHARED), str(path)]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (found.stdout + found.stderr, found.returncode) == ("", 0)


@pytest.mark.parametrize("text", [SHARED.read_text(), render()], ids=["shared", "environment"])
def test_a_template_is_short_enough_to_be_sent_as_text(text: str):
    assert len(text.encode()) < BODY_LIMIT


def test_no_role_may_do_everything_of_a_service():
    actions = [action for one in statements() for action in listed(one["Action"])]
    assert not [action for action in actions if "*" in action]


def test_only_actions_that_know_no_resource_are_allowed_on_all():
    wide = {action for one in statements() if one["Resource"] == "*" for action in listed(one["Action"])}
    assert wide == {"ecr:GetAuthorizationToken", "cloudwatch:PutMetricData"}


def test_the_control_service_writes_into_its_own_namespace_only():
    (one,) = [one for one in statements() if "cloudwatch:PutMetricData" in one["Action"]]
    assert one["Condition"] == {"StringEquals": {"cloudwatch:namespace": NAMESPACE}}


def test_a_task_may_protect_itself_and_only_control_may_scale():
    def actions(role: str) -> str:
        return json.dumps(RESOURCES[role])

    assert "ecs:UpdateTaskProtection" in actions("TaskRole")
    assert "ecs:UpdateService" not in actions("TaskRole")
    assert "ecs:UpdateService" in actions("ControlRole")


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
    assert set(asked) == {name for name, _ in containers()} - {"control"}
    assert set(map(tuple, asked.values())) == {("CMD", "python", "-m", "pipeline.alive")}


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
    }
    assert {d["Name"] for m in own if m["Namespace"] == NAMESPACE for d in m["Dimensions"]} == {
        "Cluster",
        "Service",
    }
    assert [m["Id"] for m in metrics if m["ReturnData"]] == ["per_task"]
    assert policy["ScaleInCooldown"] > policy["ScaleOutCooldown"]


def evaluate(expression: str, backlog: float, planned: float | None, tasks: float | None) -> float:
    """Metric math, as far as these expressions use it; None is a metric without a value."""

    def fill(value: float | None, default: float) -> float:
        return default if value is None else value

    def choose(condition: bool, yes: float, no: float) -> float:
        return yes if condition else no

    names = {"FILL": fill, "IF": choose, "backlog": backlog, "planned": planned, "tasks": tasks}
    return float(eval(expression, {"__builtins__": {}}, names))


@pytest.mark.parametrize(
    ("tasks", "per_task", "at_zero"),
    [(None, 900.0, 900.0), (0, 900.0, 900.0), (1, 900.0, 0.0), (9, 100.0, 0.0)],
)
def test_the_backlog_of_one_task_is_defined_at_zero_tasks(tasks, per_task: float, at_zero: float):
    assert evaluate(PER_TASK, 600.0, 300.0, tasks) == per_task
    assert evaluate(AT_ZERO, 600.0, 300.0, tasks) == at_zero


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
