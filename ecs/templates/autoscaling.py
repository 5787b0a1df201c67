"""How the counts of an environment's services follow the work, and what somebody is told of. Pure.

The control service starts tasks ahead of waves; what is here works beside it, and alone when it is gone: from zero by
steps, then by the backlog of one task, and back to zero slowly. A message in flight counts as backlog, so that a worker
in the middle of a shard is no reason to have fewer.
"""

from __future__ import annotations

from typing import Any

from ecs.templates.functions import Block, attribute, ref, resource, shared, sub, under
from ecs.templates.service_roles import COMPUTE, WEB, Role

NAMESPACE = "CeleryWaves"  # that the control service writes to
SLOW, QUICK = 300, 60  # seconds between two steps down, and up
TOLD = (
    180  # seconds after which the count of tasks is told for sure: until then nothing is added to zero again
)
REQUESTS = 3000  # a minute, that one task of the API is to answer
PERIOD = 60  # seconds; ECS counts its tasks once a minute


def scaling(role: Role) -> Block:
    """Return the resources that scale a role's service; none for one whose count is fixed."""
    if role is WEB:
        return {"WebScalable": _scalable(role, 1), "WebRequests": _requests()}
    if not role.scales:
        return {}
    return {
        f"{role.key}Scalable": _scalable(role, 0),
        f"{role.key}Tracking": _tracking(role),
        f"{role.key}FromZero": _from_zero(role),
        f"{role.key}Waiting": _waiting(role),
    }


def _scalable(role: Role, least: int) -> Block:
    service = f"service/${{Cluster}}/${{{role.key}Service.Name}}"
    return resource(
        "ApplicationAutoScaling::ScalableTarget",
        ServiceNamespace="ecs",
        ScalableDimension="ecs:service:DesiredCount",
        ResourceId=sub(service),
        MinCapacity=least,
        MaxCapacity=ref("MaxTasks"),
    )


def _metric(name: str, role: Role, namespace: str = NAMESPACE) -> Block:
    own, cluster = ("Service", "Cluster") if namespace == NAMESPACE else ("ServiceName", "ClusterName")
    return {
        "Namespace": namespace,
        "MetricName": name,
        "Dimensions": [
            {"Name": cluster, "Value": ref("Cluster")},
            {"Name": own, "Value": sub(f"${{AWS::StackName}}-{role.name}")},
        ],
    }


def _measured(role: Role) -> list[Block]:
    """Return what both policies look at: the work that is there, that of waves that come soon, and the tasks asked for.

    Tasks that were asked for, not those that run: else more would be asked for while the first ones start.
    """
    found = {
        "backlog": _metric("backlog_seconds", role),
        "planned": _metric("planned_seconds", role),
        "busy": _metric("in_flight", role),
        "tasks": _metric("DesiredTaskCount", role, "ECS/ContainerInsights"),
    }
    return [
        {"Id": name, "MetricStat": {"Metric": metric, "Stat": "Average"}} for name, metric in found.items()
    ]


# Without a number of tasks, or at none, the backlog is that of one task: the quotient is always defined.
TASKS = "IF(FILL(tasks, 0) > 1, FILL(tasks, 1), 1)"
WORK = "backlog + FILL(planned, 0)"
AT_ZERO = f"IF(FILL(tasks, 0) < 1, {WORK}, 0)"


def per_task(role: Role) -> str:
    """Write what is tracked: the backlog of a task, or the share of its slots that work, whichever is more.

    By the backlog alone a service that keeps up has next to none, and would be taken away until it no longer does; so
    slots that all work count as the target itself: no more tasks, and none less.
    """
    backlog, busy = f"({WORK}) / {TASKS}", f"FILL(busy, 0) / {TASKS} * {role.within}"
    return f"IF({backlog} > {busy}, {backlog}, {busy})"


def _tracking(role: Role) -> Block:
    metrics = [{**metric, "ReturnData": False} for metric in _measured(role)]
    result = {"Id": "per_task", "Expression": per_task(role), "ReturnData": True}
    metric = {"CustomizedMetricSpecification": {"Metrics": [*metrics, result]}}
    return _target(role, "backlog", role.within * role.slots, metric)


def _from_zero(role: Role) -> Block:
    few = role.within * role.slots
    steps = [
        {"MetricIntervalLowerBound": 0, "MetricIntervalUpperBound": 5 * few, "ScalingAdjustment": 1},
        {"MetricIntervalLowerBound": 5 * few, "MetricIntervalUpperBound": 50 * few, "ScalingAdjustment": 5},
        {"MetricIntervalLowerBound": 50 * few, "ScalingAdjustment": 20},
    ]
    configuration = {
        "AdjustmentType": "ChangeInCapacity",
        "Cooldown": TOLD,
        "MetricAggregationType": "Maximum",
        "StepAdjustments": steps,
    }
    return _policy(role, "from-zero", "StepScaling", configuration)


def _target(role: Role, name: str, value: float, metric: Block) -> Block:
    configuration = {"TargetValue": value, "ScaleInCooldown": SLOW, "ScaleOutCooldown": QUICK, **metric}
    return _policy(role, name, "TargetTrackingScaling", configuration)


def _policy(role: Role, name: str, kind: str, configuration: Block) -> Block:
    return resource(
        "ApplicationAutoScaling::ScalingPolicy",
        PolicyName=sub(f"${{AWS::StackName}}-{role.name}-{name}"),
        PolicyType=kind,
        ScalingTargetId=ref(f"{role.key}Scalable"),
        **{f"{kind}PolicyConfiguration": configuration},
    )


def _waiting(role: Role) -> Block:
    """There is work and nobody to do it."""
    metrics = [
        {"Id": m["Id"], "MetricStat": {**m["MetricStat"], "Period": PERIOD}, "ReturnData": False}
        for m in _measured(role)
    ]
    return _alarm(
        f"Work waits while {role.name} has no task: this starts some.",
        ref(f"{role.key}FromZero"),
        Metrics=[*metrics, {"Id": "at_zero", "Expression": AT_ZERO, "ReturnData": True}],
        EvaluationPeriods=1,
    )


def _requests() -> Block:
    label = {"Fn::Join": ["/", [shared("Balancer"), attribute("WebTargets", "TargetGroupFullName")]]}
    metric = {"PredefinedMetricType": "ALBRequestCountPerTarget", "ResourceLabel": label}
    return _target(WEB, "requests", REQUESTS, {"PredefinedMetricSpecification": metric})


def _alarm(text: str, action: Any, **more: Any) -> Block:
    usual = {"Threshold": 0, "ComparisonOperator": "GreaterThanThreshold", "TreatMissingData": "notBreaching"}
    return resource(
        "CloudWatch::Alarm", **usual | {"AlarmDescription": text, "AlarmActions": [action], **more}
    )


def alarms() -> Block:
    """Return the alarms that somebody is to look at: their topic is the shared stack's."""
    told = shared("Alarms")
    balancer = [
        {"Name": "LoadBalancer", "Value": shared("Balancer")},
        {"Name": "TargetGroup", "Value": attribute("WebTargets", "TargetGroupFullName")},
    ]
    elb: Block = {"Namespace": "AWS/ApplicationELB", "Dimensions": balancer, "Period": PERIOD}
    api = {
        "ApiFails": _alarm(
            "The API answers with errors of its own.",
            told,
            **elb,
            MetricName="HTTPCode_Target_5XX_Count",
            Statistic="Sum",
            Threshold=5,
            EvaluationPeriods=3,
        ),
        "ApiUnhealthy": _alarm(
            "A task of the API does not answer its health check.",
            told,
            **elb,
            MetricName="UnHealthyHostCount",
            Statistic="Maximum",
            EvaluationPeriods=5,
        ),
    }
    return {
        "ControlSilent": _alarm(
            "The control service writes no metrics: waves are not prepared for, and nothing starts at zero workers.",
            told,
            **_metric("backlog_seconds", COMPUTE),
            Statistic="SampleCount",
            Period=PERIOD,
            EvaluationPeriods=5,
            ComparisonOperator="LessThanThreshold",
            Threshold=1,
            TreatMissingData="breaching",
        ),
        "BacklogGrows": _alarm(
            "Computation has been behind for a quarter of an hour. Raise MaxTasks, or look at `wave doctor`.",
            told,
            **_metric("backlog_per_task", COMPUTE),
            Statistic="Minimum",
            Threshold=COMPUTE.within * 60,
            Period=PERIOD,
            EvaluationPeriods=15,
        ),
        **under("HasApi", api),
    }
