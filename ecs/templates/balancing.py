"""An environment's place behind the load balancer that its stage shares. Pure."""

from __future__ import annotations

from typing import Any

from ecs.templates.functions import Block, ref, resource, shared, under

LAST = 49_999  # priority of the rule behind those of all versions; the load balancer knows 1 to 50,000


def balancing() -> Block:
    """Return the API's place behind the load balancer: the header Pipeline-Version names the version, else main."""
    group = resource(
        "ElasticLoadBalancingV2::TargetGroup",
        VpcId=shared("Vpc"),
        TargetType="ip",
        Protocol="HTTP",
        Port=8000,
        HealthCheckPath="/healthz",
        HealthCheckIntervalSeconds=10,
        HealthyThresholdCount=2,
        TargetGroupAttributes=[{"Key": "deregistration_delay.timeout_seconds", "Value": "30"}],
    )
    forward = {"Type": "forward", "TargetGroupArn": ref("WebTargets")}
    own = {"WebTargets": group, "WebRule": _rule(ref("Priority"), _header(ref("Version")), forward)}
    # Behind the rules of all versions: an unknown one is told so, and who names none reaches main.
    behind = {
        "UnknownRule": _rule(LAST, _header("*"), UNKNOWN),
        "DefaultRule": _rule(
            LAST + 1, {"Field": "path-pattern", "PathPatternConfig": {"Values": ["/*"]}}, forward
        ),
    }
    return under("HasApi", own) | under("IsDefault", behind)


UNKNOWN: Block = {
    "Type": "fixed-response",
    "FixedResponseConfig": {
        "StatusCode": "404",
        "ContentType": "application/json",
        "MessageBody": '{"error": "no version of the name in Pipeline-Version is deployed here"}',
    },
}


def _header(value: Any) -> Block:
    config = {"HttpHeaderName": "Pipeline-Version", "Values": [value]}
    return {"Field": "http-header", "HttpHeaderConfig": config}


def _rule(priority: Any, where: Block, action: Block) -> Block:
    return resource(
        "ElasticLoadBalancingV2::ListenerRule",
        ListenerArn=shared("Listener"),
        Priority=priority,
        Conditions=[where],
        Actions=[action],
    )
