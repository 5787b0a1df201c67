"""Which ECS service works on which queues, as the control service is told it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import orjson

from ecs.control.policy import Bounds
from pipeline.errors import SettingsError, listed, near

VARIABLE, CLUSTER = "ECS_SERVICES", "ECS_CLUSTER"
MARGIN = 20.0  # seconds before they are needed that tasks are to be there
EXAMPLE = '[{"name": "waves-compute", "queues": ["main.compute"], "slots": 2, "most": 50}]'


@dataclass(frozen=True, slots=True)
class Service:
    """One service whose desired count follows its queues. Times are seconds."""

    name: str
    queues: tuple[str, ...]  # by their full names
    slots: int = 1  # messages that one task runs at a time
    least: int = 0  # tasks
    most: int = 10  # tasks
    startup: float = 60.0  # from a raised desired count to a task that takes messages
    launch: float = 8.0  # tasks that ECS starts a second: on Fargate 500 a minute and service
    goal: float = 300.0  # in which a wave is to be done, and any other backlog to be cleared
    hold: float = 300.0  # that less must have been wanted before the count is lowered
    scale_in: bool = False  # lower the count too; else Application Auto Scaling does, or nobody

    @property
    def bounds(self) -> Bounds:
        """What it may have."""
        return Bounds(self.slots, self.least, self.most)

    def lead(self, slots: int) -> float:
        """Return how many seconds before they are needed tasks of that many slots must be asked for."""
        return self.startup + MARGIN + min(slots / self.slots, self.most) / self.launch


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster and its services."""

    name: str
    services: tuple[Service, ...]

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> Cluster:
        """Read ECS_CLUSTER and ECS_SERVICES. Raises SettingsError."""
        env = os.environ if environ is None else environ
        if not env.get(CLUSTER):
            raise SettingsError(
                f"{CLUSTER} is not set. Set it to the cluster whose services are to be scaled."
            )
        return cls(env[CLUSTER], read_services(env.get(VARIABLE, "")))


def read_services(text: str) -> tuple[Service, ...]:
    """Read a JSON list of services. Raises SettingsError, which names the service and the field."""
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise SettingsError(f"{VARIABLE} is not JSON ({error}). Write a list, such as {EXAMPLE}.") from None
    if not isinstance(found, list) or not found:
        raise SettingsError(f"{VARIABLE} holds no list of services. Write one, such as {EXAMPLE}.")
    services = tuple(map(_service, found))
    if len({service.name for service in services}) < len(services):
        raise SettingsError(f"{VARIABLE} names a service twice: {listed(s.name for s in services)}.")
    return services


def _service(value: Any) -> Service:
    if not isinstance(value, dict) or not isinstance(value.get("name"), str) or not value.get("queues"):
        raise SettingsError(
            f"{VARIABLE}: {value!r} is not a service. Each needs a name and queues: {EXAMPLE}."
        )
    kinds = {field.name: field.type for field in fields(Service)}
    for name, given in value.items():
        if name not in kinds:
            raise SettingsError(
                f"{VARIABLE}: service {value['name']!r} has no field {name!r}.{near(name, kinds)}"
            )
        if not _fits(kinds[name], given):
            raise SettingsError(
                f"{VARIABLE}: service {value['name']!r}: {name}={given!r} must be {_WORDS[kinds[name]]}."
            )
    service = Service(**{**value, "queues": tuple(value["queues"])})
    if not 0 <= service.least <= service.most or service.most < 1 or service.slots < 1:
        raise SettingsError(
            f"{VARIABLE}: service {service.name!r}: least={service.least}, most={service.most}, slots={service.slots}. "
            "It must hold that 0 <= least <= most, and that most and slots are at least 1."
        )
    return service


_WORDS: Mapping[Any, str] = {
    "str": "a text",
    "tuple[str, ...]": "a list of texts",
    "int": "a whole number",
    "float": "a number above zero",
    "bool": "true or false",
}


def _fits(kind: Any, value: Any) -> bool:
    if kind == "tuple[str, ...]":
        return isinstance(value, list) and all(isinstance(item, str) for item in value)
    if kind == "float":
        return isinstance(value, int | float) and not isinstance(value, bool) and value > 0
    return type(value) is {"str": str, "int": int, "bool": bool}[kind]
