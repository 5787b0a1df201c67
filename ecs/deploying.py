"""Deploys an environment: what its stage shares, then its own stack; says what would change, and removes it."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ecs.environment import PARAMETERS, render
from ecs.errors import CloudError, telling
from ecs.naming import MAIN, Place
from ecs.roles import ROLES
from ecs.stacks import Planned, Say, Stacks
from pipeline.errors import SettingsError, listed, near

SHARED = Path(__file__).with_name("shared.yml")


@dataclass(frozen=True, slots=True)
class Part:
    """One stack that a deployment is made of."""

    name: str
    template: str
    parameters: Mapping[str, str]


def parts(
    place: Place, images: Mapping[str, str], given: Mapping[str, str], shared: Mapping[str, str]
) -> list[Part]:
    """Give the stacks of an environment, in order. Raises SettingsError for a parameter that none has.

    images   WorkerImage and WebImage
    given    parameters of the environment's stack
    shared   parameters of the stack that the stage shares; only `main` changes that one
    """
    own = {
        "Shared": place.shared,
        "Version": place.version,
        "Priority": str(place.priority),
        **images,
        **given,
    }
    if place.version != MAIN:
        own = {"BeatCount": "0"} | own  # a branch costs nothing until somebody submits a wave of it
    for name in own:
        if name not in PARAMETERS:
            raise SettingsError(
                f"the template has no parameter {name!r}.{near(name, PARAMETERS)} It has: {listed(PARAMETERS)}."
            )
    missing = [name for name, spec in PARAMETERS.items() if "Default" not in spec and not own.get(name)]
    if missing:
        raise SettingsError(
            f"parameters are missing: {listed(missing)}. Give images by --tag, the others by -p NAME=VALUE."
        )
    found = [Part(place.stack, render(), own)]
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
    cluster, service = cluster_and_service(Stacks(clients("cloudformation")), place, role)
    with telling(f"scaling {service}"):
        clients("ecs").update_service(cluster=cluster, service=service, desiredCount=count)


def cluster_and_service(stacks: Stacks, place: Place, role: str) -> tuple[str, str]:
    """Give the names of an environment's cluster and of a role's service. Raises SettingsError and CloudError."""
    names = [each.name for each in ROLES]
    if role not in names:
        raise SettingsError(f"there is no role {role!r}.{near(role, names)} There are {listed(names)}.")
    return stacks.output(place.stack, "Cluster"), f"{place.stack}-{role}"


def run_once(clients: Any, place: Place, words: list[str], limit: float = 900) -> None:
    """Run a `wave` command as a task of the environment, where Redis can be reached, and wait. Raises CloudError."""
    cluster, service = cluster_and_service(Stacks(clients("cloudformation")), place, "control")
    ecs = clients("ecs")
    with telling(f"running wave {' '.join(words)}"):
        found = ecs.describe_services(cluster=cluster, services=[service])["services"]
        if not found:
            raise CloudError(f"the service {service} is not there, so that nothing can be run beside it.")
        answer = ecs.run_task(
            cluster=cluster,
            taskDefinition=found[0]["taskDefinition"],
            launchType="FARGATE",
            networkConfiguration=found[0]["networkConfiguration"],
            overrides={"containerOverrides": [{"name": "control", "command": words}]},
        )
        if not answer["tasks"]:
            raise CloudError(f"ECS starts no task for wave {' '.join(words)}: {answer['failures']}")
        arn = answer["tasks"][0]["taskArn"]
        waiter = ecs.get_waiter("tasks_stopped")
        waiter.wait(cluster=cluster, tasks=[arn], WaiterConfig={"Delay": 6, "MaxAttempts": int(limit / 6)})
        ended = ecs.describe_tasks(cluster=cluster, tasks=[arn])["tasks"][0]
    code = ended["containers"][0].get("exitCode")
    if code != 0:
        raise CloudError(
            f"wave {' '.join(words)} ended with {code}: {ended.get('stoppedReason', '')} See: wave ecs logs control"
        )


def write(text: str) -> None:
    """Write a line of progress."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
