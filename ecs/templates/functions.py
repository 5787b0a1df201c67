"""What the parts of an environment's template are written with. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Block = dict[str, Any]


def ref(name: str) -> Block:
    """Refer to a parameter or a resource."""
    return {"Ref": name}


def attribute(name: str, of: str = "Arn") -> Block:
    """Refer to an attribute of a resource."""
    return {"Fn::GetAtt": [name, of]}


def shared(name: str) -> Block:
    """Refer to what the stage's shared stack exports."""
    return {"Fn::ImportValue": {"Fn::Sub": f"${{Shared}}-{name}"}}


def sub(text: str) -> Any:
    """Write a text for the template, which puts parameters in where it names them."""
    return {"Fn::Sub": text} if "${" in text else text


def resource(kind: str, **properties: Any) -> Block:
    """Write a resource; `kind` is its type without AWS::."""
    return {"Type": f"AWS::{kind}", "Properties": properties}


def under(condition: str, resources: Block) -> Block:
    """Let resources be there under a condition alone; "" for none."""
    return {k: {**v, "Condition": condition} for k, v in resources.items()} if condition else resources


def policy(*statements: Block) -> Block:
    """Write a policy of statements."""
    return {"Version": "2012-10-17", "Statement": list(statements)}


def allow(actions: Sequence[str], where: Any, **equals: str) -> Block:
    """Write a statement that allows something, if a key of the request equals a text, where one is given."""
    found: Block = {"Effect": "Allow", "Action": list(actions), "Resource": where}
    return found | {"Condition": {"StringEquals": equals}} if equals else found


def role(service: str, *statements: Block) -> Block:
    """Write the role that a service of AWS takes on."""
    trust = {
        "Effect": "Allow",
        "Principal": {"Service": f"{service}.amazonaws.com"},
        "Action": "sts:AssumeRole",
    }
    return resource(
        "IAM::Role",
        AssumeRolePolicyDocument=policy(trust),
        Policies=[{"PolicyName": "own", "PolicyDocument": policy(*statements)}],
    )
