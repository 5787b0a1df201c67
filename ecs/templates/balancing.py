"""An environment's place behind the load balancer that its stage shares. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Block = dict[str, Any]

LAST = 49_999  # priority of the rule behind those of all versions; the load balancer knows 1 to 50,000


def _shared(name: str) -> Block:
    return {"Fn::ImportValue": {"Fn::Sub": f"${{Shared}}-{name}"}}


def balancing() -> Block:
    """Return the API's place behind the load balancer: the header Pipeline-Version names the version, else main."""
    group = {
        "Type": "AWS::ElasticLoadBalancingV2::TargetGroup",
        "Condition": "HasApi",
        "Properties": {
            "VpcId": _shared("Vpc"),
            "TargetType": "ip",
            "Protocol": "HTTP",
            "Port": 8000,
            "HealthCheckPath": "/healthz",
            "HealthCheckIntervalSeconds": 10,
            "HealthyThresholdCount": 2,
            "TargetGroupAttributes": [{"Key": "deregistration_delay.timeout_seconds", "Value": "30"}],
        },
    }
    forward = {"Type": "forward", "TargetGroupArn": {"Ref": "WebTargets"}}
    return {
        "WebTargets": group,
        "WebRule": _rule("HasApi", {"Ref": "Priority"}, _header({"Ref": "Version"}), forward),
        # Behind the rules of all versions: an unknown one is told so, and who names none reaches main.
        "UnknownRule": _rule("IsDefault", LAST, _header("*"), UNKNOWN),
        "DefaultRule": _rule(
            "IsDefault", LAST + 1, {"Field": "path-pattern", "PathPatternConfig": {"Values": ["/*"]}}, forward
        ),
    }


UNKNOWN: Mapping[str, Any] = {
    "Type": "fixed-response",
    "FixedResponseConfig": {
        "StatusCode": "404",
        "ContentType": "application/json",
        "MessageBody": '{"error": "no version of the name in Pipeline-Version is deployed here"}',
    },
}


def _header(value: Any) -> Block:
    return {
        "Field": "http-header",
        "HttpHeaderConfig": {"HttpHeaderName": "Pipeline-Version", "Values": [value]},
    }


def _rule(condition: str, priority: Any, where: Block, action: Mapping[str, Any]) -> Block:
    return {
        "Type": "AWS::ElasticLoadBalancingV2::ListenerRule",
        "Condition": condition,
        "Properties": {
            "ListenerArn": _shared("Listener"),
            "Priority": priority,
            "Conditions": [where],
            "Actions": [action],
        },
    }
