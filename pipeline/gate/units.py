"""Units: the (task, where) pairs of a wave, and which of them wait for which. Pure.

`where` is the number of a shard for a task that runs for each entity, `@{partition}` for one a partition, `@all`
for one a wave. The gate knows nothing of graphs: whoever claims or reports tells it, from here, what a unit waits
for and what waits for it. A wave's graph never changes, so everybody says the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from pipeline.flows.entity import Entity
from pipeline.flows.plan import Plan, members

ALL = "@all"


@dataclass(frozen=True, slots=True)
class Unit:
    """One task at one place of a wave: what is claimed, run and reported as a whole."""

    task: str
    where: str  # a shard's number, "@{partition}" or "@all"

    def __str__(self) -> str:
        return f"{self.task} {self.where}"

    @classmethod
    def read(cls, text: str) -> Unit:
        """Read what `str` made of a unit."""
        task, _, where = text.partition(" ")
        return cls(task, where)


@dataclass(frozen=True)
class Units:
    """All units of one wave."""

    plan: Plan
    partitions: tuple[str, ...]  # of each shard, by its number

    @cached_property
    def shards(self) -> dict[str, tuple[str, ...]]:
        """The shards' numbers of each partition, as texts."""
        found: dict[str, list[str]] = {}
        for number, partition in enumerate(self.partitions):
            found.setdefault(partition, []).append(str(number))
        return {partition: tuple(numbers) for partition, numbers in found.items()}

    def places(self, task: str) -> tuple[str, ...]:
        """Return all places at which a task runs."""
        per = self.plan.steps[task].per
        if per == "wave":
            return (ALL,) if self.partitions else ()  # a wave of no entities has no units
        if per == "partition":
            return tuple(f"@{p}" for p in self.shards)
        return tuple(str(n) for n in range(len(self.partitions)))

    def __iter__(self) -> Iterator[Unit]:
        return (Unit(task, where) for task in self.plan.steps for where in self.places(task))

    def __contains__(self, unit: Unit) -> bool:
        return unit.task in self.plan.steps and unit.where in self.places(unit.task)

    def __len__(self) -> int:
        return sum(len(self.places(task)) for task in self.plan.steps)

    def shards_of(self, where: str) -> tuple[str, ...]:
        """Return the shards that lie in a place: itself, a partition's, or all."""
        if where == ALL:
            return tuple(str(n) for n in range(len(self.partitions)))
        return self.shards[where[1:]] if where.startswith("@") else (where,)

    def partition_of(self, where: str) -> str | None:
        """Return the partition that a place lies in, None for `@all`."""
        if where == ALL:
            return None
        return where[1:] if where.startswith("@") else self.partitions[int(where)]

    def _meeting(self, task: str, where: str) -> tuple[str, ...]:
        """Return the places of `task` that share entities with `where`."""
        per = self.plan.steps[task].per
        if per == "wave":
            return (ALL,)
        if per == "partition":
            partition = self.partition_of(where)
            return self.places(task) if partition is None else (f"@{partition}",)
        return self.shards_of(where)

    def inputs(self, unit: Unit) -> list[Unit]:
        """Return the units that this one waits for."""
        return [Unit(i, w) for i in self.plan.steps[unit.task].inputs for w in self._meeting(i, unit.where)]

    def need(self, unit: Unit) -> int:
        """Count the units that this one waits for."""
        return sum(len(self._meeting(i, unit.where)) for i in self.plan.steps[unit.task].inputs)

    def dependents(self, unit: Unit) -> list[Unit]:
        """Return the units that wait for this one."""
        return [Unit(t, w) for t in self.plan.dependents(unit.task) for w in self._meeting(t, unit.where)]

    def roots(self) -> list[Unit]:
        """Return the units that wait for none."""
        return [unit for unit in self if not self.plan.steps[unit.task].inputs]

    def waiting(self, where: str) -> dict[str, list[tuple[Unit, float]]]:
        """Return, for each place whose clock a first claim at `where` starts, what waits there and how long (s)."""
        partition = self.partition_of(where)
        clocks = dict.fromkeys([where, *([f"@{partition}"] if partition else []), ALL])
        found: dict[str, list[tuple[Unit, float]]] = {}
        for place in clocks:
            here = [
                (Unit(s.name, place), s.timeout)
                for s in self.plan.steps.values()
                if s.inputs and self._runs(s.per, place)
            ]
            if here:
                found[place] = here
        return found

    @staticmethod
    def _runs(per: str | None, place: str) -> bool:
        if place == ALL:
            return per == "wave"
        return (per == "partition") == place.startswith("@") and per != "wave"

    def segment(self, index: int) -> tuple[str, ...]:
        """Return the tasks of a segment."""
        return tuple(members(self.plan.segments[index]))

    def stages(self, index: int) -> list[tuple[str, ...]]:
        """Cut a segment into as few stages as there are changes of queue, each in an order in which it can run."""
        left, done, stages = list(self.segment(index)), set[str](), list[tuple[str, ...]]()
        inside = set(left)
        while left:
            open_now = [n for n in left if done.issuperset(inside.intersection(self.plan.steps[n].inputs))]
            queue = self.plan.steps[open_now[0]].queue
            stage: list[str] = []
            for name in left:  # in running order, so that one pass finds all that this queue can do now
                step = self.plan.steps[name]
                if step.queue == queue and done.issuperset(inside.intersection(step.inputs)):
                    stage.append(name)
                    done.add(name)
            left = [name for name in left if name not in done]
            stages.append(tuple(stage))
        return stages

    def segment_roots(self, index: int) -> frozenset[str]:
        """Return the tasks of a segment that read none of the same segment."""
        names = set(self.segment(index))
        return frozenset(n for n in names if not names.intersection(self.plan.steps[n].inputs))


def scope_entity(where: str) -> Entity:
    """Return the entity that a scoped task runs for."""
    return Entity(where, partition=None if where == ALL else where[1:])
