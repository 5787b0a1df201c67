"""The part of an environment's template that takes over what the stage before has promoted. Pure but for one file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

Block = dict[str, Any]

CODE = Path(__file__).with_name("promotion_function.py")


def promoting() -> Block:
    """Return the function, its role, its log, and its subscription to the topic of the stage before."""
    found = {
        "PromotionRole": _role(),
        "PromotionLogs": {
            "Type": "AWS::Logs::LogGroup",
            "Properties": {"RetentionInDays": {"Ref": "LogDays"}},
        },
        "Promotion": _function(),
        "PromotionAllowed": {
            "Type": "AWS::Lambda::Permission",
            "Properties": {
                "Action": "lambda:InvokeFunction",
                "FunctionName": {"Ref": "Promotion"},
                "Principal": "sns.amazonaws.com",
                "SourceArn": {"Ref": "UpstreamTopic"},
            },
        },
        "PromotionSubscription": {
            "Type": "AWS::SNS::Subscription",
            "Properties": {
                "Protocol": "lambda",
                "TopicArn": {"Ref": "UpstreamTopic"},
                "Endpoint": {"Fn::GetAtt": ["Promotion", "Arn"]},
                "FilterPolicy": {"event": ["promoted", "deployed"]},
            },
        },
    }
    return {name: {**resource, "Condition": "HasUpstream"} for name, resource in found.items()}


def _function() -> Block:
    values = {
        "STAGE": {"Fn::ImportValue": {"Fn::Sub": "${Shared}-Stage"}},
        "CLUSTER": {"Ref": "Cluster"},
        "SERVICE": {"Fn::Sub": "${AWS::StackName}-control"},
        "STACK": {"Ref": "AWS::StackName"},
        "DEPLOY_ROLE": {"Ref": "DeployRoleArn"},
    }
    return {
        "Type": "AWS::Lambda::Function",
        "Properties": {
            "Handler": "index.handler",
            "Runtime": "python3.13",
            "Timeout": 30,
            "MemorySize": 256,
            "Role": {"Fn::GetAtt": ["PromotionRole", "Arn"]},
            "LoggingConfig": {"LogGroup": {"Ref": "PromotionLogs"}},
            "Environment": {"Variables": values},
            "Code": {"ZipFile": CODE.read_text()},
        },
    }


def _role() -> Block:
    inside = "arn:${AWS::Partition}:ecs:${AWS::Region}:${AWS::AccountId}"
    roles = [{"Fn::GetAtt": [name, "Arn"]} for name in ("ControlRole", "ExecutionRole")]
    statements: list[Block] = [
        _allow(
            "ecs:DescribeServices", {"Fn::Sub": f"{inside}:service/${{Cluster}}/${{AWS::StackName}}-control"}
        ),
        _allow("ecs:RunTask", {"Fn::Sub": f"{inside}:task-definition/${{AWS::StackName}}-control:*"}),
        _allow("iam:PassRole", roles, "ecs-tasks.amazonaws.com"),
        _allow(["logs:CreateLogStream", "logs:PutLogEvents"], {"Fn::GetAtt": ["PromotionLogs", "Arn"]}),
    ]
    update = [
        _allow(["cloudformation:DescribeStacks", "cloudformation:UpdateStack"], {"Ref": "AWS::StackId"}),
        _allow("iam:PassRole", {"Ref": "DeployRoleArn"}, "cloudformation.amazonaws.com"),
    ]
    nothing = {"Ref": "AWS::NoValue"}
    statements += [{"Fn::If": ["HasDeployRole", one, nothing]} for one in update]
    trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    policy = {"Version": "2012-10-17", "Statement": statements}
    return {
        "Type": "AWS::IAM::Role",
        "Properties": {
            "AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": [trust]},
            "Policies": [{"PolicyName": "own", "PolicyDocument": policy}],
        },
    }


def _allow(actions: str | list[str], resource: Any, passed_to: str = "") -> Block:
    found: Block = {"Effect": "Allow", "Action": actions, "Resource": resource}
    return found | {"Condition": {"StringEquals": {"iam:PassedToService": passed_to}}} if passed_to else found
