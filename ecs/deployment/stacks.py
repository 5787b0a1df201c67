"""Stacks of CloudFormation, by change sets: what would change is known before anything does."""

from __future__ import annotations

import hashlib
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ecs.deployment.errors import CloudError, DeployFailed, telling

LIMIT = 45 * 60  # seconds that a deployment may take; a Redis alone takes ten minutes
NOTHING = ("didn't contain changes", "No updates are to be performed")
UNMADE = ("ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "CREATE_FAILED", "DELETE_FAILED")
TAG = "celery-waves"
BODY = 51_200  # bytes of a template that CloudFormation takes as a text; a longer one it reads from S3

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Change:
    """What would become of one resource."""

    action: str  # Add, Modify or Remove
    resource: str
    kind: str
    replaced: bool = False  # made anew, the old one removed
    why: str = ""  # properties that change

    def __str__(self) -> str:
        again = " (made anew)" if self.replaced else ""
        return f"{self.action.lower():<7} {self.resource} {self.kind}{again}{f': {self.why}' if self.why else ''}"


@dataclass(frozen=True, slots=True)
class Planned:
    """A change set that waits."""

    stack: str
    name: str
    new: bool  # it makes the stack
    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class Bucket:
    """Where templates go that are too long for a text: the bucket of models that a stage's shared stack names."""

    client: Any  # of s3
    stack: str

    def put(self, stacks: Stacks, template: str) -> str:
        """Write a template under its digest, and return its address. Raises CloudError."""
        bucket = stacks.output(self.stack, "Models")
        key = f"templates/{hashlib.sha256(template.encode()).hexdigest()[:32]}.json"
        with telling(f"writing the template to s3://{bucket}/{key}"):
            self.client.put_object(Bucket=bucket, Key=key, Body=template.encode())
        return f"{self.client.meta.endpoint_url}/{bucket}/{key}"  # with the path and the region, as the AWS CLI does


class Stacks:
    """The stacks of one account and region."""

    def __init__(
        self, client: Any, pause: float = 3.0, limit: float = LIMIT, bucket: Bucket | None = None
    ) -> None:
        """Take a client of cloudformation, how often to look (s), and how long a deployment may take (s)."""
        self._bucket = bucket
        self._client = client
        self._pause = pause
        self._limit = limit

    def find(self, name: str) -> Mapping[str, Any] | None:
        """Describe a stack, None where there is none."""
        try:
            with telling(f"looking at the stack {name}"):
                found: Mapping[str, Any] = self._client.describe_stacks(StackName=name)["Stacks"][0]
        except CloudError as error:
            if "does not exist" in str(error):
                return None
            raise
        return None if found["StackStatus"] == "DELETE_COMPLETE" else found

    def outputs(self, name: str) -> dict[str, str]:
        """Return a stack's outputs. Raises CloudError where there is no stack."""
        found = self.find(name)
        if found is None:
            raise CloudError(
                f"there is no stack {name!r}. `wave ecs deploy` makes it; `wave ecs status` lists those there."
            )
        return {each["OutputKey"]: each["OutputValue"] for each in found.get("Outputs", ())}

    def output(self, name: str, key: str) -> str:
        """Return one of a stack's outputs. Raises CloudError where it has none, as before it was ever deployed."""
        found = self.outputs(name)
        if key not in found:
            raise CloudError(
                f"the stack {name!r} tells no {key}: its deployment has not ended well. See: wave ecs status"
            )
        return found[key]

    def names(self, prefix: str) -> dict[str, str]:
        """Return the stacks whose names begin so, with their status."""
        with telling("listing stacks"):
            pages = self._client.get_paginator("describe_stacks").paginate()
            found = {each["StackName"]: each["StackStatus"] for page in pages for each in page["Stacks"]}
        return {name: status for name, status in sorted(found.items()) if name.startswith(prefix)}

    def plan(self, name: str, template: str, parameters: Mapping[str, str]) -> Planned | None:
        """Build a change set; None where nothing would change. What a failed first deployment left is removed first.

        Raises CloudError where another deployment is at work, or the stack needs a hand.
        """
        found = self.find(name)
        if found is not None and self._clear(name, found["StackStatus"]):
            found = None
        new = found is None or found["StackStatus"] == "REVIEW_IN_PROGRESS"
        change_set = f"deploy-{uuid.uuid4().hex[:12]}"
        try:
            self._ask(name, change_set, new, template, parameters)
        except CloudError as error:
            if any(text in str(error) for text in NOTHING):
                return None
            raise
        return self._planned(name, change_set, new)

    def _ask(
        self, name: str, change_set: str, new: bool, template: str, parameters: Mapping[str, str]
    ) -> None:
        long = self._bucket is not None and len(template.encode()) > BODY
        where = (
            {"TemplateURL": self._bucket.put(self, template)}
            if long and self._bucket
            else {"TemplateBody": template}
        )
        with telling(f"planning {name}"):
            self._client.create_change_set(
                StackName=name,
                ChangeSetName=change_set,
                ChangeSetType="CREATE" if new else "UPDATE",
                **where,
                Parameters=[
                    {"ParameterKey": key, "ParameterValue": str(value)} for key, value in parameters.items()
                ],
                Capabilities=["CAPABILITY_IAM"],
                Tags=[{"Key": TAG, "Value": name}],
            )

    def _clear(self, name: str, status: str) -> bool:
        """Remove what a failed first deployment left; say whether anything was."""
        if status in UNMADE:
            self.delete(name)
            return True
        if status == "UPDATE_ROLLBACK_FAILED":
            raise CloudError(
                f"the stack {name!r} is in {status}: its last deployment could not be taken back. Look at `wave ecs "
                f"status`, mend what it names, then: aws cloudformation continue-update-rollback --stack-name {name}"
            )
        if status.endswith("_IN_PROGRESS") and status != "REVIEW_IN_PROGRESS":
            raise CloudError(
                f"the stack {name!r} is in {status}: another deployment is at work. Wait until it ends."
            )
        return False

    def _planned(self, name: str, change_set: str, new: bool) -> Planned | None:
        def ready() -> Mapping[str, Any] | None:
            with telling(f"planning {name}"):
                found = self._client.describe_change_set(StackName=name, ChangeSetName=change_set)
            return found if found["Status"] not in ("CREATE_PENDING", "CREATE_IN_PROGRESS") else None

        found = self._wait(ready, f"the change set of {name}")
        if found["Status"] == "FAILED":
            reason = found.get("StatusReason", "")
            self.discard(Planned(name, change_set, new, ()))
            if any(text in reason for text in NOTHING):
                return None
            raise DeployFailed(f"{name} cannot be deployed: {reason}. Nothing was changed.")
        changes = tuple(_change(each["ResourceChange"]) for each in found.get("Changes", ()))
        if not changes and not new:
            self.discard(Planned(name, change_set, new, ()))
            return None
        return Planned(name, change_set, new, changes)

    def discard(self, planned: Planned) -> None:
        """Drop a change set, and the empty stack that a new one has made."""
        with telling(f"dropping the plan of {planned.stack}"):
            self._client.delete_change_set(StackName=planned.stack, ChangeSetName=planned.name)
            if planned.new:
                self._client.delete_stack(StackName=planned.stack)

    def execute(self, planned: Planned, say: Say) -> None:
        """Do what was planned, and wait. Raises DeployFailed, which names the resources that failed, and why."""
        since = self._newest(planned.stack)
        with telling(f"deploying {planned.stack}"):
            self._client.execute_change_set(StackName=planned.stack, ChangeSetName=planned.name)
        status = self._follow(planned.stack, since, say)
        if status not in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
            raise DeployFailed(self._failure(planned.stack, status, since))

    def delete(self, name: str, say: Say = lambda _: None) -> bool:
        """Remove a stack and wait; False where there was none."""
        if self.find(name) is None:
            return False
        since = self._newest(name)
        with telling(f"removing {name}"):
            self._client.delete_stack(StackName=name)
        status = self._follow(name, since, say)
        if status != "DELETE_COMPLETE":
            raise DeployFailed(self._failure(name, status, since))
        return True

    def _follow(self, name: str, since: str, say: Say) -> str:
        told = {since}

        def ended() -> str | None:
            found = self.find(name)
            status = "DELETE_COMPLETE" if found is None else str(found["StackStatus"])
            for event in reversed(list(self._events(name, since)) if found else []):
                if event["EventId"] not in told:
                    told.add(event["EventId"])
                    say(f"{event['ResourceStatus']:<28} {event['LogicalResourceId']}")
            return None if status.endswith("_IN_PROGRESS") else status

        return str(self._wait(ended, f"the stack {name}"))

    def _failure(self, name: str, status: str, since: str) -> str:
        reasons = [
            f"{event['LogicalResourceId']} ({event['ResourceType']}): {event.get('ResourceStatusReason', '')}"
            for event in self._events(name, since)
            if event["ResourceStatus"].endswith("_FAILED")
            and "cancelled" not in event.get("ResourceStatusReason", "")
        ]
        why = "\n  ".join(reversed(reasons)) or "CloudFormation names no resource."
        left = {
            "UPDATE_ROLLBACK_COMPLETE": "It was taken back: what ran before runs.",
            "ROLLBACK_COMPLETE": "What was made is removed; the next deployment begins anew.",
        }.get(status, "Look at it before the next deployment.")
        return f"{name} failed and is in {status}. {left}\n  {why}"

    def _events(self, name: str, since: str) -> Iterator[Mapping[str, Any]]:
        """Yield the events after one, the newest first."""
        try:
            with telling(f"reading what happened to {name}"):
                for page in self._client.get_paginator("describe_stack_events").paginate(StackName=name):
                    for event in page["StackEvents"]:
                        if event["EventId"] == since:
                            return
                        yield event
        except CloudError:  # it is gone meanwhile
            return

    def _newest(self, name: str) -> str:
        return next((str(event["EventId"]) for event in self._events(name, "")), "")

    def _wait(self, look: Callable[[], Any], what: str) -> Any:
        deadline = time.monotonic() + self._limit
        while (found := look()) is None:
            if time.monotonic() > deadline:
                raise DeployFailed(
                    f"{what} has not ended after {self._limit:g} s; it goes on. Look: wave ecs status"
                )
            time.sleep(self._pause)
        return found


def _change(found: Mapping[str, Any]) -> Change:
    names = {d.get("Target", {}).get("Name", "") for d in found.get("Details", ())} - {""}
    return Change(
        found["Action"],
        found["LogicalResourceId"],
        found["ResourceType"],
        found.get("Replacement") == "True",
        ", ".join(sorted(names)),
    )
