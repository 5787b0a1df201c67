"""Roles of an environment: what its tasks may do in AWS, and nothing beside it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ecs.autoscaling import NAMESPACE

Block = dict[str, Any]


def execution_role() -> Block:
    """The role by which ECS starts a task: fetch its image, read its secret, write its logs."""
    repositories = "arn:${AWS::Partition}:ecr:${AWS::Region}:${AWS::AccountId}:repository/celery-waves-*"
    return _role(
        _allow(["ecr:GetAuthorizationToken"], "*"),  # it knows no resource
        _allow(
            ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
            {"Fn::Sub": repositories},
        ),
        _allow(["logs:CreateLogStream", "logs:PutLogEvents"], {"Fn::GetAtt": ["Logs", "Arn"]}),
        _allow(["secretsmanager:GetSecretValue"], {"Fn::ImportValue": {"Fn::Sub": "${Shared}-RedisUrl"}}),
    )


def task_role(control: bool) -> Block:
    """The role of what runs in a task: models, their promotions, its own protection; `control` may scale besides."""
    bucket = {"Fn::ImportValue": {"Fn::Sub": "${Shared}-Models"}}
    arn = ["", ["arn:", {"Ref": "AWS::Partition"}, ":s3:::", bucket]]
    topic = {"Fn::ImportValue": {"Fn::Sub": "${Shared}-Promotions"}}
    statements = [
        _allow(["s3:ListBucket"], {"Fn::Join": arn}),
        _allow(
            ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"],
            {"Fn::Join": ["", [*arn[1], "/models/*"]]},
        ),
        _allow(["sns:Publish"], topic),
        # Of its own cluster's tasks alone; the agent asks in the name of this role.
        _allow(["ecs:GetTaskProtection", "ecs:UpdateTaskProtection"], _inside("task")),
    ]
    if control:
        statements += [
            _allow(["ecs:DescribeServices", "ecs:UpdateService"], _inside("service")),
            # It knows no resource; the namespace is what can be told apart.
            _allow(["cloudwatch:PutMetricData"], "*", {"StringEquals": {"cloudwatch:namespace": NAMESPACE}}),
        ]
    return _role(*statements)


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
