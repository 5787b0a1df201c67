"""The template of one environment: a version of the code, with its own cluster, queues, services and logs. Pure.

It is made here and not written down, since seven services differ in little; `wave ecs template` shows it. What
environments of a stage share (`shared.yml`) comes from that stack's exports, which also keeps that stack from being
removed before them. A cluster costs nothing, so that each version has one, and its own control service leads there.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from ecs.templates.autoscaling import alarms, scaling
from ecs.templates.balancing import LAST, balancing
from ecs.templates.functions import Block, attribute, ref, resource, shared, sub, under
from ecs.templates.iam_roles import roles as task_roles
from ecs.templates.naming import MAIN
from ecs.templates.promotion import promoting
from ecs.templates.service_roles import (
    BEAT,
    CELERY,
    CONTROL,
    DRAIN,
    ROLES,
    SERVE,
    STARTER,
    STOP_TIMEOUT,
    WEB,
    Role,
)


def template(own: Sequence[Role] = ()) -> Block:
    """Return the template, as CloudFormation reads it; `own` are workers of queues that the user's tasks name."""
    roles = (*ROLES, *own)
    return {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": "celery-waves, an environment: one version of the code with its own queues and services.",
        "Parameters": PARAMETERS,
        "Conditions": {
            "HasBeat": {"Fn::Equals": [ref("BeatCount"), "1"]},
            "HasApi": _given("ApiTokens"),
            "IsDefault": {"Fn::And": [{"Condition": "HasApi"}, {"Fn::Equals": [ref("Version"), MAIN]}]},
            "HasUpstream": _given("UpstreamTopic"),
            "HasDeployRole": _given("DeployRoleArn"),
            "HasModel": _given("ServeModel"),
            "HasWorkerPolicy": _given("WorkerPolicyArn"),
        },
        "Resources": {
            **_shared(),
            **balancing(),
            **{k: v for role in roles for k, v in _service(role, own).items()},
            **alarms(),
            **promoting(),
        },
        "Outputs": {
            "Cluster": {"Value": ref("Cluster")},
            "Version": {"Value": ref("Version")},
            "ControlTask": {"Value": ref("ControlTask")},
            "ControlService": {"Value": attribute("ControlService", "Name")},
            "Logs": {"Value": ref("Logs")},
        },
    }


def render(own: Sequence[Role] = ()) -> str:
    """Return the template as JSON text, without blanks.

    Args:
        own: Roles of workers beside those that every environment has.
    """
    return json.dumps(template(own), separators=(",", ":"))


def _given(parameter: str) -> Block:
    return {"Fn::Not": [{"Fn::Equals": [ref(parameter), ""]}]}


def _text(description: str, default: str | None = None, **more: Any) -> Block:
    return {
        "Type": "String",
        "Description": description,
        **({} if default is None else {"Default": default}),
        **more,
    }


def _number(description: str, default: int) -> Block:
    return {"Type": "Number", "Description": description, "Default": default, "MinValue": 0}


PARAMETERS: Mapping[str, Block] = {
    "Shared": _text("The stack of ecs/templates/shared.yml."),
    "Version": _text("The version of the code: a git branch or tag.", AllowedPattern="[A-Za-z0-9][A-Za-z0-9._/+-]*"),
    "Priority": {**_number("Of the API's rule; each version needs its own.", 1), "MinValue": 1, "MaxValue": LAST - 1},
    "WorkerImage": _text("Image of workers, with its tag."),
    "WebImage": _text("Image of the API, with its tag."),
    "Flows": _text("PIPELINE_FLOWS: module[:flow],..."),
    "Allow": _text("PIPELINE_ALLOW: modules of your own, and folders, that stored models may name.", ""),
    "ApiTokens": _text("PIPELINE_TOKENS: NAME=sha256:HASH,...; hashes alone. Empty: no API.", ""),
    "ServeModel": _text("A model that is served; empty for none.", "", AllowedPattern="[A-Za-z0-9._-]*"),
    "BeatCount": {**_number("1 to start waves by schedule, 0 for `wave submit` alone.", 1), "AllowedValues": [0, 1]},
    "MaxTasks": _number("Tasks of each kind of worker at most.", 50),
    "Goal": _number("Seconds within which a wave is to be done.", 600),
    "WorkerPolicyArn": _text("A managed policy: what your tasks may do in AWS besides. Empty for nothing.", ""),
    "SpotWeight": _number("Share of workers on spare capacity, beside 1 for the rest; 0 for none.", 3),
    "UpstreamTopic": _text("The topic of the stage before, whose promotions are taken over; empty for none.", ""),
    "DeployRoleArn": _text("A role by which CloudFormation takes over images too; empty for models alone.", ""),
    "LogDays": {**_number("Days that logs are kept.", 14), "AllowedValues": [1, 3, 5, 7, 14, 30, 60, 90, 180, 365]},
}  # fmt: skip


def _shared() -> Block:
    """Return what the services have in common."""
    return {
        "Cluster": resource(
            "ECS::Cluster", ClusterSettings=[{"Name": "containerInsights", "Value": "enabled"}]
        ),
        "Capacity": resource(
            "ECS::ClusterCapacityProviderAssociations",
            Cluster=ref("Cluster"),
            CapacityProviders=["FARGATE", "FARGATE_SPOT"],
            DefaultCapacityProviderStrategy=[{"CapacityProvider": "FARGATE", "Weight": 1}],
        ),
        "Logs": resource("Logs::LogGroup", RetentionInDays=ref("LogDays")),
        **task_roles(),
    }


def _service(role: Role, own: Sequence[Role]) -> Block:
    """Return the task definition and the service of a role, and what scales it."""
    found = {f"{role.key}Task": _task(role, own), f"{role.key}Service": _running(role), **scaling(role)}
    return under(role.condition, found)


def _task(role: Role, own: Sequence[Role]) -> Block:
    containers = [_container(role, role.name, role.entry, role.command)]
    if role is BEAT:
        containers.append(_container(role, "starter", tuple(CELERY), STARTER))
    if role is CONTROL:
        containers[0]["Environment"] += _pairs(
            {"ECS_CLUSTER": ref("Cluster"), "ECS_SERVICES": _controlled(own)}
        )
    rights = {"TaskRoleArn": attribute(f"{role.rights}Role")} if role.rights else {}
    return resource(
        "ECS::TaskDefinition",
        Family=sub(f"${{AWS::StackName}}-{role.name}"),
        RequiresCompatibilities=["FARGATE"],
        NetworkMode="awsvpc",
        Cpu=str(role.cpu),
        Memory=str(role.memory),
        ExecutionRoleArn=attribute("ExecutionRole"),
        **rights,
        Volumes=[{"Name": "tmp"}],
        ContainerDefinitions=containers,
    )


def _container(role: Role, name: str, entry: tuple[str, ...], command: tuple[str, ...]) -> Block:
    options = {"group": ref("Logs"), "region": ref("AWS::Region"), "stream-prefix": name}
    ports = {"PortMappings": [{"ContainerPort": 8000, "Protocol": "tcp"}]} if role is WEB else {}
    return {
        "Name": name,
        "Image": ref(role.image),
        "Essential": True,
        "EntryPoint": list(entry),
        "Command": [sub(word) for word in command],
        "Environment": _environment(role, name),
        "Secrets": [{"Name": "REDIS_URL", "ValueFrom": shared("RedisUrl")}],
        "User": "10001",
        "ReadonlyRootFilesystem": True,
        "LinuxParameters": {"InitProcessEnabled": True},
        "MountPoints": [{"SourceVolume": "tmp", "ContainerPath": "/tmp"}],
        "StopTimeout": STOP_TIMEOUT,
        "LogConfiguration": {
            "LogDriver": "awslogs",
            "Options": {f"awslogs-{key}": value for key, value in options.items()},
        },
        "HealthCheck": {
            "Command": ["CMD", "python", "-m", "pipeline.workers.liveness"],
            "Interval": 15,
            "Timeout": 5,
            "Retries": 3,
            "StartPeriod": 60,
        },
        **ports,
    }


def _environment(role: Role, name: str) -> list[Block]:
    values: dict[str, Any] = {
        "PIPELINE_VERSION": ref("Version"),
        "PIPELINE_FLOWS": ref("Flows"),
        "PIPELINE_ALLOW": ref("Allow"),
        "PIPELINE_MODELS": {"Fn::Join": ["", ["s3://", shared("Models"), "/models"]]},
        "PIPELINE_MODELS_TOPIC": shared("Promotions"),
        "PIPELINE_STAGE": shared("Stage"),
        "PIPELINE_DRAIN": f"{DRAIN}s",
        "PIPELINE_HEARTBEAT": f"/tmp/{name}.alive",
    }
    if role is WEB:
        values |= {"PIPELINE_TOKENS": ref("ApiTokens"), "PIPELINE_WEB_HOST": "0.0.0.0"}
    return _pairs(values)


def _pairs(values: Mapping[str, Any]) -> list[Block]:
    return [{"Name": key, "Value": value} for key, value in values.items()]


def _controlled(own: Sequence[Role]) -> Block:
    """Return what the control service is told of the services that it starts ahead of waves."""
    workers = ", ".join(_line(role) for role in (*ROLES, *own) if role.scales and role is not SERVE)
    with_model = f"[{workers}, {_line(SERVE)}]"
    return {"Fn::If": ["HasModel", sub(with_model), sub(f"[{workers}]")]}


def _line(role: Role) -> str:
    queues = ", ".join(f'"${{Version}}.{queue}"' for queue in role.queues)
    goal = role.within if role is SERVE else "${Goal}"
    return (
        f'{{"name": "${{AWS::StackName}}-{role.name}", "queues": [{queues}], "slots": {role.slots}, '
        f'"most": ${{MaxTasks}}, "goal": {goal}}}'
    )


def _running(role: Role) -> Block:
    weights = [{"CapacityProvider": "FARGATE", "Weight": 1}]
    if role.spot:
        weights.append({"CapacityProvider": "FARGATE_SPOT", "Weight": ref("SpotWeight")})
    depends = ["Capacity"]
    more: Block = {}
    # A count that others change is not named: a deployment would set it back in the middle of a wave.
    if not role.scales and role is not WEB:
        more["DesiredCount"] = {"Fn::If": ["HasBeat", 1, 0]} if role is BEAT else 1
    if role is WEB:
        depends.append("WebRule")
        more["HealthCheckGracePeriodSeconds"] = 60
        more["LoadBalancers"] = [
            {"ContainerName": role.name, "ContainerPort": 8000, "TargetGroupArn": ref("WebTargets")}
        ]
    service = resource(
        "ECS::Service",
        ServiceName=sub(f"${{AWS::StackName}}-{role.name}"),
        Cluster=ref("Cluster"),
        TaskDefinition=ref(f"{role.key}Task"),
        CapacityProviderStrategy=weights,
        PropagateTags="SERVICE",
        DeploymentConfiguration={
            "DeploymentCircuitBreaker": {"Enable": True, "Rollback": True},
            # Two beats do no harm, and neither do two control services: an old one goes when a new one is there.
            "MinimumHealthyPercent": 100,
            "MaximumPercent": 200,
        },
        NetworkConfiguration={
            "AwsvpcConfiguration": {
                "Subnets": {"Fn::Split": [",", shared("Subnets")]},
                "SecurityGroups": [shared("TaskGroup")],
                "AssignPublicIp": shared("PublicIp"),
            }
        },
        **more,
    )
    return {**service, "DependsOn": depends}
