"""Roles of an environment: what its tasks may do in AWS, and nothing beside it. Pure.

Each kind of task has a role of its own. Beat has none: it talks to Redis alone.
"""

from __future__ import annotations

from typing import Any

from ecs.templates.autoscaling import NAMESPACE
from ecs.templates.functions import Block, allow, attribute, ref, role, shared, sub, under


def roles() -> Block:
    """Return the roles: one by which ECS starts tasks, then those of what runs in them."""
    read, write = _models("s3:GetObject"), _models("s3:GetObject", "s3:PutObject")
    publish = allow(["sns:Publish"], shared("Promotions"))
    prune = allow(["s3:DeleteObject"], _bucket("/models/*"))
    # Of its own cluster's tasks alone; the agent asks in the name of this role.
    protect = allow(["ecs:GetTaskProtection", "ecs:UpdateTaskProtection"], _inside("task"))
    scale = allow(["ecs:DescribeServices", "ecs:UpdateService"], _inside("service"))
    # It knows no resource; the namespace is what can be told apart.
    measure = allow(["cloudwatch:PutMetricData"], "*", **{"cloudwatch:namespace": NAMESPACE})
    # They train: they write models, remove old ones, and tell of promotions.
    worker = role("ecs-tasks", *write, prune, publish, protect)
    worker["Properties"]["ManagedPolicyArns"] = {
        "Fn::If": ["HasWorkerPolicy", [ref("WorkerPolicyArn")], ref("AWS::NoValue")]
    }
    return {
        "ExecutionRole": _execution(),
        "WorkerRole": worker,
        **under("HasModel", {"ServeRole": role("ecs-tasks", *read)}),
        # On its pages models are promoted and rolled back, which writes who is live; nothing is removed there.
        **under("HasApi", {"WebRole": role("ecs-tasks", *write, publish)}),
        # It promotes what the stage before has promoted, and sets the counts of its own cluster's services.
        "ControlRole": role("ecs-tasks", *write, publish, scale, measure),
    }


def _execution() -> Block:
    """Return the role by which ECS starts a task: fetch its image, read its secret, write its logs."""
    repositories = "arn:${AWS::Partition}:ecr:${AWS::Region}:${AWS::AccountId}:repository/celery-waves-*"
    fetch = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
    return role(
        "ecs-tasks",
        allow(["ecr:GetAuthorizationToken"], "*"),  # it knows no resource
        allow(fetch, sub(repositories)),
        allow(["logs:CreateLogStream", "logs:PutLogEvents"], attribute("Logs")),
        allow(["secretsmanager:GetSecretValue"], shared("RedisUrl")),
    )


def _models(*actions: str) -> list[Block]:
    return [allow(["s3:ListBucket"], _bucket("")), allow(actions, _bucket("/models/*"))]


def _bucket(path: str) -> Block:
    parts: list[Any] = ["arn:", ref("AWS::Partition"), ":s3:::", shared("Models"), path]
    return {"Fn::Join": ["", parts if path else parts[:-1]]}


def _inside(kind: str) -> Any:
    return sub(f"arn:${{AWS::Partition}}:ecs:${{AWS::Region}}:${{AWS::AccountId}}:{kind}/${{Cluster}}/*")
