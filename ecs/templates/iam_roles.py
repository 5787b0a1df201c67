"""Roles of an environment: what its tasks may do in AWS, and nothing beside it. Pure.

Each kind of task has a role of its own. Beat has none: it talks to Redis alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ecs.templates.autoscaling import NAMESPACE

Block = dict[str, Any]


def roles() -> dict[str, Block]:
    """Return the roles: one by which ECS starts tasks, then those of what runs in them."""
    read, write, publish = _models("s3:GetObject"), _models("s3:GetObject", "s3:PutObject"), _publish()
    prune = _allow(["s3:DeleteObject"], _bucket("/models/*"))
    found = {
        "ExecutionRole": _execution(),
        # They train: they write models, remove old ones, and tell of promotions.
        "WorkerRole": _role(*write, prune, publish, _protect()),
        "ServeRole": _role(*read),
        # On its pages models are promoted and rolled back, which writes who is live; nothing is removed there.
        "WebRole": _role(*write, publish),
        # It promotes what the stage before has promoted, and sets the counts of its own cluster's services.
        "ControlRole": _role(*write, publish, *_scale()),
    }
    found["WorkerRole"]["Properties"]["ManagedPolicyArns"] = {
        "Fn::If": ["HasWorkerPolicy", [{"Ref": "WorkerPolicyArn"}], {"Ref": "AWS::NoValue"}]
    }
    found["WebRole"]["Condition"] = "HasApi"
    found["ServeRole"]["Condition"] = "HasModel"
    return found


def _execution() -> Block:
    """Return the role by which ECS starts a task: fetch its image, read its secret, write its logs."""
    repositories = "arn:${AWS::Partition}:ecr:${AWS::Region}:${AWS::AccountId}:repository/celery-waves-*"
    return _role(
        _allow(["ecr:GetAuthorizationToken"], "*"),  # it knows no resource
        _allow(
            ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
            {"Fn::Sub": repositories},
        ),
        _allow(["logs:CreateLogStream", "logs:PutLogEvents"], {"Fn::GetAtt": ["Logs", "Arn"]}),
        _allow(["secretsmanager:GetSecretValue"], _import("RedisUrl")),
    )


def _models(*actions: str) -> list[Block]:
    return [_allow(["s3:ListBucket"], _bucket("")), _allow(actions, _bucket("/models/*"))]


def _bucket(path: str) -> Block:
    parts: list[Any] = ["arn:", {"Ref": "AWS::Partition"}, ":s3:::", _import("Models"), path]
    return {"Fn::Join": ["", parts if path else parts[:-1]]}


def _publish() -> Block:
    return _allow(["sns:Publish"], _import("Promotions"))


def _protect() -> Block:
    # Of its own cluster's tasks alone; the agent asks in the name of this role.
    return _allow(["ecs:GetTaskProtection", "ecs:UpdateTaskProtection"], _inside("task"))


def _scale() -> list[Block]:
    return [
        _allow(["ecs:DescribeServices", "ecs:UpdateService"], _inside("service")),
        # It knows no resource; the namespace is what can be told apart.
        _allow(["cloudwatch:PutMetricData"], "*", {"StringEquals": {"cloudwatch:namespace": NAMESPACE}}),
    ]


def _import(name: str) -> Block:
    return {"Fn::ImportValue": {"Fn::Sub": f"${{Shared}}-{name}"}}


def _inside(kind: str) -> Block:
    return {
        "Fn::Sub": f"arn:${{AWS::Partition}}:ecs:${{AWS::Region}}:${{AWS::AccountId}}:{kind}/${{Cluster}}/*"
    }


def _allow(actions: Sequence[str], resource: Any, condition: Block | None = None) -> Block:
    found: Block = {"Effect": "Allow", "Action": list(actions), "Resource": resource}
    return found if condition is None else found | {"Condition": condition}


def _role(*statements: Block) -> Block:
    trust = {
        "Effect": "Allow",
        "Principal": {"Service": "ecs-tasks.amazonaws.com"},
        "Action": "sts:AssumeRole",
    }
    policy = {"Version": "2012-10-17", "Statement": list(statements)}
    return {
        "Type": "AWS::IAM::Role",
        "Properties": {
            "AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": [trust]},
            "Policies": [{"PolicyName": "own", "PolicyDocument": policy}],
        },
    }
