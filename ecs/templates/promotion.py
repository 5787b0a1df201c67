"""The part of an environment's template that takes over what the stage before has promoted. Pure but for one file."""

from __future__ import annotations

from pathlib import Path

from ecs.templates.functions import Block, allow, attribute, ref, resource, role, shared, sub, under

CODE = Path(__file__).with_name("promotion_function.py")


def promoting() -> Block:
    """Return the function, its role, its log, and its subscription to the topic of the stage before."""
    found = {
        "PromotionRole": _role(),
        "PromotionLogs": resource("Logs::LogGroup", RetentionInDays=ref("LogDays")),
        "Promotion": _function(),
        "PromotionAllowed": resource(
            "Lambda::Permission",
            Action="lambda:InvokeFunction",
            FunctionName=ref("Promotion"),
            Principal="sns.amazonaws.com",
            SourceArn=ref("UpstreamTopic"),
        ),
        "PromotionSubscription": resource(
            "SNS::Subscription",
            Protocol="lambda",
            TopicArn=ref("UpstreamTopic"),
            Endpoint=attribute("Promotion"),
            FilterPolicy={"event": ["promoted", "deployed"]},
        ),
    }
    return under("HasUpstream", found)


def _function() -> Block:
    values = {
        "STAGE": shared("Stage"),
        "CLUSTER": ref("Cluster"),
        "SERVICE": sub("${AWS::StackName}-control"),
        "STACK": ref("AWS::StackName"),
        "DEPLOY_ROLE": ref("DeployRoleArn"),
    }
    return resource(
        "Lambda::Function",
        Handler="index.handler",
        Runtime="python3.13",
        Timeout=30,
        MemorySize=256,
        Role=attribute("PromotionRole"),
        LoggingConfig={"LogGroup": ref("PromotionLogs")},
        Environment={"Variables": values},
        Code={"ZipFile": CODE.read_text()},
    )


def _role() -> Block:
    inside = "arn:${AWS::Partition}:ecs:${AWS::Region}:${AWS::AccountId}"
    update = [
        allow(["cloudformation:DescribeStacks", "cloudformation:UpdateStack"], ref("AWS::StackId")),
        _pass(ref("DeployRoleArn"), "cloudformation"),
    ]
    return role(
        "lambda",
        allow(["ecs:DescribeServices"], sub(f"{inside}:service/${{Cluster}}/${{AWS::StackName}}-control")),
        allow(["ecs:RunTask"], sub(f"{inside}:task-definition/${{AWS::StackName}}-control:*")),
        _pass([attribute("ControlRole"), attribute("ExecutionRole")], "ecs-tasks"),
        allow(["logs:CreateLogStream", "logs:PutLogEvents"], attribute("PromotionLogs")),
        *({"Fn::If": ["HasDeployRole", one, ref("AWS::NoValue")]} for one in update),
    )


def _pass(roles: Block | list[Block], service: str) -> Block:
    return allow(["iam:PassRole"], roles, **{"iam:PassedToService": f"{service}.amazonaws.com"})
