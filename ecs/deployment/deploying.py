"""Deploys an environment: what its stage shares, then its own stack; says what would change, and removes it."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ecs.deployment.errors import CloudError, telling
from ecs.deployment.stacks import Planned, Say, Stacks
from ecs.templates.environment import PARAMETERS, render
from ecs.templates.naming import MAIN, Place
from ecs.templates.service_roles import Role
from pipeline.errors import SettingsError, listed, near

PAGE = 10  # services that one DescribeServices takes
PAUSE = 3.0  # seconds between two looks at a task
SHARED = Path(__file__).parents[1] / "templates" / "shared.yml"


@dataclass(frozen=True, slots=True)
class Part:
    """One stack that a deployment is made of."""

    name: str
    template: str
    parameters: Mapping[str, str]


def parts(
    place: Place,
    images: Mapping[str, str],
    given: Mapping[str, str],
    shared: Mapping[str, str],
    own: Sequence[Role] = (),
) -> list[Part]:
    """Give the stacks of an environment, in order. Raises SettingsError for a parameter that none has.

    images   WorkerImage and WebImage
    given    parameters of the environment's stack
    shared   parameters of the stack that the stage shares; only `main` changes that one
    own      workers of kinds of queues that the user's tasks name
    """
    values = {
        "Shared": place.shared,
        "Version": place.version,
        "Priority": str(place.priority),
        **images,
        **given,
    }
    if place.version != MAIN:
        values = {"BeatCount": "0"} | values  # a branch costs nothing until somebody submits a wave of it
    for name in values:
        if name not in PARAMETERS:
            raise SettingsError(
                f"the template has no parameter {name!r}.{near(name, PARAMETERS)} It has: {listed(PARAMETERS)}."
            )
    missing = [name for name, spec in PARAMETERS.items() if "Default" not in spec and not values.get(name)]
    if missing:
        raise SettingsError(
            f"parameters are missing: {listed(missing)}. Give images by --tag, the others by -p NAME=VALUE."
        )
    found = [Part(place.stack, render(own), values)]
    if place.version == MAIN:
        found.insert(0, Part(place.shared, SHARED.read_text(), {"Stage": place.stage, **shared}))
    return found


class Deployer:
    """Deploys the parts of an environment, one after the other."""

    def __init__(self, stacks: Stacks, say: Say) -> None:
        self._stacks = stacks
        self._say = say

    def deploy(self, wanted: list[Part], *, dry: bool = False) -> bool:
        """Deploy what differs; with `dry` only say what would. Gives whether anything changed, or would.

        Raises DeployFailed; parts that were deployed before stay, and the next run goes on from there.
        """
        changed = False
        for part in wanted:
            if dry and self._unseen(part, wanted):
                self._say(f"{part.name}: new, after {wanted[0].name}")
                changed = True
                continue
            planned = self._stacks.plan(part.name, part.template, part.parameters)
            if planned is None:
                self._say(f"{part.name}: nothing changes")
                continue
            changed = True
            self._tell(planned)
            if dry:
                self._stacks.discard(planned)
            else:
                self._stacks.execute(planned, self._say)
                self._say(f"{part.name}: deployed")
        return changed

    def _unseen(self, part: Part, wanted: list[Part]) -> bool:
        """Say that a part cannot be planned yet, because what it takes from the first one is not there."""
        return part is not wanted[0] and self._stacks.find(wanted[0].name) is None

    def _tell(self, planned: Planned) -> None:
        self._say(f"{planned.stack}: {'new' if planned.new else 'changes'}")
        for change in planned.changes:
            self._say(f"  {change}")


def scale(clients: Any, place: Place, role: str, count: int) -> None:
    """Set how many tasks a role has; autoscaling goes on from there. Raises SettingsError for an unknown role."""
    cluster, service = cluster_and_service(clients, place, role)
    with telling(f"scaling {service}"):
        clients("ecs").update_service(cluster=cluster, service=service, desiredCount=count)


def services(clients: Any, place: Place) -> dict[str, Mapping[str, Any]]:
    """Describe the services that an environment has, by their roles. Raises CloudError."""
    cluster, ecs = cluster_of(clients, place), clients("ecs")
    with telling(f"looking at {cluster}"):
        pages = ecs.get_paginator("list_services").paginate(cluster=cluster)
        arns = [arn for page in pages for arn in page["serviceArns"]]
        found = [
            one
            for start in range(0, len(arns), PAGE)
            for one in ecs.describe_services(cluster=cluster, services=arns[start : start + PAGE])["services"]
        ]
    active = (one for one in found if one["status"] == "ACTIVE")
    own = {one["serviceName"].removeprefix(f"{place.stack}-"): one for one in active}
    return dict(sorted(own.items()))


def cluster_of(clients: Any, place: Place) -> str:
    """Give the name of an environment's cluster. Raises CloudError."""
    return Stacks(clients("cloudformation")).output(place.stack, "Cluster")


def cluster_and_service(clients: Any, place: Place, role: str) -> tuple[str, str]:
    """Give the names of an environment's cluster and of a role's service. Raises SettingsError and CloudError."""
    known = services(clients, place)
    if role not in known:
        raise SettingsError(
            f"{place.stack} has no role {role!r}.{near(role, known)} There are {listed(known) or 'none'}."
        )
    return cluster_of(clients, place), known[role]["serviceName"]


def run_once(clients: Any, place: Place, words: Sequence[str], limit: float = 900) -> None:
    """Run a `wave` command as a task of the environment, where Redis can be reached, and wait. Raises CloudError."""
    cluster, service = cluster_and_service(clients, place, "control")
    ecs, said = clients("ecs"), f"wave {' '.join(words)}"
    with telling(f"running {said}"):
        found = ecs.describe_services(cluster=cluster, services=[service])["services"][0]
        answer = ecs.run_task(
            cluster=cluster,
            taskDefinition=found["taskDefinition"],
            launchType="FARGATE",
            networkConfiguration=found["networkConfiguration"],
            overrides={"containerOverrides": [{"name": "control", "command": list(words)}]},
        )
        if not answer["tasks"]:
            raise CloudError(f"ECS starts no task for {said}: {answer['failures']}")
        arn = answer["tasks"][0]["taskArn"]
        ended = _ended(ecs, cluster, arn, limit)
    code = ended["containers"][0].get("exitCode")
    if code != 0:
        raise CloudError(
            f"{said} ended with {code}: {ended.get('stoppedReason', '')} See: wave ecs logs control"
        )


def _ended(ecs: Any, cluster: str, arn: str, limit: float) -> Mapping[str, Any]:
    """Wait until a task has stopped. Raises CloudError where it goes on for longer."""
    until = time.monotonic() + limit
    while True:
        (task,) = ecs.describe_tasks(cluster=cluster, tasks=[arn])["tasks"]
        if task["lastStatus"] == "STOPPED":
            return dict(task)
        if time.monotonic() > until:
            raise CloudError(
                f"the task {arn} still runs after {limit:g} s and goes on. See: wave ecs logs control"
            )
        time.sleep(PAUSE)


def write(text: str) -> None:
    """Write a line of progress."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
