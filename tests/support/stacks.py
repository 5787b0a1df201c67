"""The templates as ministack can deploy them: without what it lacks, and with what AWS would add."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from ecs.templates.environment import template
from ecs.templates.service_roles import Role

LACKS = (
    "AWS::ApplicationAutoScaling::ScalableTarget",
    "AWS::ApplicationAutoScaling::ScalingPolicy",
    "AWS::ECS::ClusterCapacityProviderAssociations",
)


def reduced(own: Sequence[Role] = ()) -> dict[str, Any]:
    """Give an environment's template without autoscaling, capacity providers and alarms of metric math."""
    found = template(own)
    resources: dict[str, dict[str, Any]] = found["Resources"]
    gone = {name for name, one in resources.items() if one["Type"] in LACKS or "Metrics" in one["Properties"]}
    found["Resources"] = kept = {name: one for name, one in resources.items() if name not in gone}
    for one in kept.values():
        if "DependsOn" in one:
            one["DependsOn"] = [name for name in one["DependsOn"] if name not in gone]
    return found


def containers(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Give the definitions of all containers of a template."""
    tasks = (one for one in found["Resources"].values() if one["Type"] == "AWS::ECS::TaskDefinition")
    return [each for task in tasks for each in task["Properties"]["ContainerDefinitions"]]


def text(found: Mapping[str, Any]) -> str:
    """Write a template."""
    return json.dumps(found, separators=(",", ":"))
