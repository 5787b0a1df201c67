"""What a simulation is told: read from a TOML file, of which `scenario.toml` beside this module is the pattern."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from pipeline.errors import SettingsError, near

DEFAULT = Path(__file__).with_name("scenario.toml")


@dataclass(frozen=True, slots=True)
class Stage:
    """A task of the flow.

    Args:
        name: Its name.
        seconds: What an entity costs.
        cpu: How much of that is computing, for one vCPU.
        rate: Entities a second that its source allows to all workers together; 0 for any number.

    Example:
        >>> collect = Stage("departures", seconds=0.35, cpu=0.1, rate=50.0)
    """

    name: str
    seconds: float
    cpu: float = 1.0
    rate: float = 0.0


@dataclass(frozen=True, slots=True)
class FlowModel:
    """What runs for each shard, and what messages cost. Lengths of time are seconds.

    Args:
        stages: Tasks of a shard, one after the other.
        shard_seconds: Work of one message.
        message: Its own cost: queue, claim, report.
        submit: A shard's share of the submission.
        spread: Coefficient of variation of what a message takes.
        shard: Entities of a shard; 0 for as many as the engine would take.

    Example:
        >>> flow = FlowModel((Stage("collect", seconds=0.375), Stage("compute", seconds=0.125)))
        >>> flow.each, flow.shard_size(10_000)
        (0.5, 5)
    """

    stages: tuple[Stage, ...]
    shard_seconds: float = 2.0
    message: float = 0.01
    submit: float = 0.0005
    spread: float = 0.2
    shard: int = 0

    @property
    def each(self) -> float:
        """Seconds of one slot that an entity costs."""
        return sum(stage.seconds for stage in self.stages)

    def shard_size(self, entities: int) -> int:
        """Return the entities of a shard, as `pipeline.gate.shards` cuts them from measured costs."""
        if self.shard:
            return self.shard
        dearest = max(stage.seconds for stage in self.stages)
        share = max(-(-entities // 32), int(0.25 / dearest))
        return max(1, min(int(self.shard_seconds / dearest), share, 1000))


@dataclass(frozen=True, slots=True)
class Trace:
    """When waves come, and how large they are."""

    period: float = 3600.0
    waves: int = 6
    entities: tuple[int, ...] = (1000, 10_000, 100_000)


@dataclass(frozen=True, slots=True)
class TaskModel:
    """One container: its slots, its size, and how it starts.

    Args:
        slots: Messages at a time.
        vcpu: Of one container.
        memory: Its memory, in GB.
        start: The least and the most seconds from RunTask to a worker that takes messages.
        launch: Tasks that a service starts a second.
        most: Tasks that it may have.

    Example:
        >>> scenario = Scenario(FlowModel((Stage("delay", seconds=0.1),)), task=TaskModel(slots=4, vcpu=2.0))
    """

    slots: int = 1
    vcpu: float = 0.25
    memory: float = 0.5
    start: tuple[float, float] = (35.0, 55.0)
    launch: float = 8.3
    most: int = 5000


@dataclass(frozen=True, slots=True)
class Price:
    """Dollars."""

    vcpu_hour: float = 0.04048
    gb_hour: float = 0.004445
    spot: float = 1.0
    minimum: float = 60.0

    def hour(self, task: TaskModel) -> float:
        """Return what a task costs an hour."""
        return (self.vcpu_hour * task.vcpu + self.gb_hour * task.memory) * self.spot


@dataclass(frozen=True, slots=True)
class Scaling:
    """What the policies know and how late they know it; scenario.toml says what each is."""

    goal: float = 60.0
    startup: float = 60.0
    margin: float = 20.0
    hold: float = 60.0
    cpu_target: float = 0.6
    control: float = 10.0
    aws_period: float = 60.0
    aws_delay: float = 60.0
    aws_high: int = 3
    aws_low: int = 15


@dataclass(frozen=True, slots=True)
class Scenario:
    """What a simulation is told of the world.

    Args:
        flow: What is run.
        trace: When waves come, and how large they are.
        task: The container that runs it.
        price: Dollars.
        scaling: What the policies know, and how late they know it.

    Example:
        >>> Scenario(FlowModel((Stage("delay", seconds=0.1),))).trace.waves
        6
    """

    flow: FlowModel
    trace: Trace = Trace()
    task: TaskModel = TaskModel()
    price: Price = Price()
    scaling: Scaling = Scaling()


_TABLES: Mapping[str, Any] = {"trace": Trace, "task": TaskModel, "price": Price, "scaling": Scaling}


def load(path: Path | None = None) -> Scenario:
    """Read a scenario. Raises SettingsError, which names the file, the table and the field."""
    place = path or DEFAULT
    try:
        found = tomllib.loads(place.read_text())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"scenario {place} cannot be read: {error}") from None
    for name in found:
        if name not in ("flow", *_TABLES):
            raise SettingsError(
                f"scenario {place} has no table [{name}] to fill.{near(name, ('flow', *_TABLES))}"
            )
    flow = dict(found.get("flow", {}))
    stages = flow.get("stages")
    if not isinstance(stages, list) or not stages or not all(isinstance(one, dict) for one in stages):
        raise SettingsError(
            f"scenario {place}: [flow] needs stages = [{{ name = ..., seconds = ... }}, ...]."
        )
    flow["stages"] = tuple(_make(Stage, one, place, "flow.stages") for one in stages)
    tables = {name: _make(kind, found.get(name, {}), place, name) for name, kind in _TABLES.items()}
    return Scenario(_make(FlowModel, flow, place, "flow"), **tables)


def _make(kind: Any, values: Mapping[str, Any], place: Path, table: str) -> Any:
    known = [field.name for field in fields(kind)]
    for name, value in values.items():
        if name not in known:
            raise SettingsError(f"scenario {place}: [{table}] has no {name!r}.{near(name, known)}")
        numbers = value if isinstance(value, list | tuple) else [value]
        if any(isinstance(n, int | float) and n < 0 for n in numbers):
            raise SettingsError(f"scenario {place}: [{table}] {name} = {value!r} is below zero.")
    try:
        return kind(**{name: tuple(v) if isinstance(v, list) else v for name, v in values.items()})
    except TypeError as error:
        raise SettingsError(f"scenario {place}: [{table}]: {error}") from None
