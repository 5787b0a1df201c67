"""Deploys an environment: what its stage shares, then its own stack; says what would change, and removes it."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ecs.deployment.stacks import Planned, Say, Stacks
from ecs.templates.environment import PARAMETERS, render
from ecs.templates.naming import MAIN, Place
from ecs.templates.service_roles import Role
from pipeline.errors import SettingsError, listed, near

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
    """Return the stacks of an environment, in order. Raises SettingsError for a parameter that none has.

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
        """Deploy what differs; with `dry` only say what would. Returns whether anything changed, or would.

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
        """Return whether a part cannot be planned yet, because what it takes from the first one is not there."""
        return part is not wanted[0] and self._stacks.find(wanted[0].name) is None

    def _tell(self, planned: Planned) -> None:
        self._say(f"{planned.stack}: {'new' if planned.new else 'changes'}")
        for change in planned.changes:
            self._say(f"  {change}")


def write(text: str) -> None:
    """Write a line of progress."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
