"""How each entity of a wave stands, and why: its statuses, the texts of errors, which inputs were missing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pipeline.errors import UnknownName, near
from pipeline.gate import status
from pipeline.gate.records import Records
from pipeline.gate.status import Status
from pipeline.gate.unit_record import why_open
from pipeline.gate.units import ALL, Unit
from pipeline.gate.wave_spec import WaveSpec


@dataclass(frozen=True, slots=True)
class EntityStatuses:
    """Reads how the entities of one wave stand. `reason` is always why the wave was closed, None while it is open."""

    spec: WaveSpec
    records: Records

    def statuses(self, task: str, reason: str | None) -> dict[str, Status]:
        """Return the status of each entity of a task; of its scope for a partition- or wave-scoped one."""
        found: dict[str, Status] = {}
        for unit, chars in self._chars(task):
            settled = status.settle(chars, reason) if reason in status.REASONS else chars
            found |= {key: status.decode(c) for key, c in zip(self._keys(unit), settled, strict=True)}
        return found

    def errors(self, task: str | None = None) -> dict[str, dict[str, str]]:
        """Return the texts of what failed or was skipped: task -> entity -> text."""
        names = [task] if task is not None else list(self.spec.plan.steps)
        found: dict[str, dict[str, str]] = {name: {} for name in names}
        for (name, where, index), text in self.records.errors(self.spec.id, task).items():
            found[name][self._keys(Unit(name, where))[index]] = text
        for name in names:
            found[name] |= self._missing(name)
        return {name: texts for name, texts in found.items() if texts}

    def unrun(self, task: str, reason: str | None) -> dict[str, str]:
        """Explain of each entity of a task that the wave's early end left without a run why it had none yet."""
        if reason not in status.REASONS:
            return {}
        conditions = self.records.conditions(self.spec.id)
        texts: dict[str, str] = {}
        for unit, chars in self._chars(task):
            if status.PENDING_CHAR in chars:
                why = why_open(conditions.get(unit), self.spec.units.need(unit), self.spec.queue(task))
                keys = self._keys(unit)
                texts |= {keys[i]: why for i, char in enumerate(chars) if char == status.PENDING_CHAR}
        return texts

    def place(self, key: str) -> tuple[int, int] | None:
        """Return the number of an entity's shard and its index there; None where the wave does not have it."""
        shards = (self.records.shard(self.spec, str(n)) for n in range(len(self.spec.sizes)))
        return next(((n, shard.keys.index(key)) for n, shard in enumerate(shards) if key in shard.keys), None)

    def entity(self, number: int, index: int, reason: str | None) -> tuple[dict[str, Status], dict[str, str]]:
        """Return how the entity at a place stands in each task, and the texts of where it failed or was skipped.

        Tasks that run once a partition or wave are those of the entity.
        """
        spec, partition = self.spec, self.spec.partitions[number]
        units = {
            task: Unit(task, {None: str(number), "partition": f"@{partition}", "wave": ALL}[step.per])
            for task, step in spec.plan.steps.items()
        }
        found = dict(zip(units, self.records.statuses(spec.id, list(units.values())), strict=True))
        at = {task: 0 if unit.where.startswith("@") else index for task, unit in units.items()}
        chars = {task: its[at[task]] if its else status.PENDING_CHAR for task, its in found.items()}
        if reason in status.REASONS:
            chars = {task: status.settle(char, reason) for task, char in chars.items()}
        texts = {
            task: text
            for task, unit in units.items()
            if (text := self._text(unit, at[task], chars[task], reason))
        }
        return {task: status.decode(char) for task, char in chars.items()}, texts

    def units(self, task: str) -> list[Unit]:
        """Return the units of a task. Raises UnknownName with the near ones."""
        steps = self.spec.plan.steps
        if task not in steps:
            raise UnknownName(
                f"wave {self.spec.id!r} has no task {task!r}.{near(task, steps)} It has: {', '.join(steps)}."
            )
        return [Unit(task, where) for where in self.spec.units.places(task)]

    def _chars(self, task: str) -> Iterator[tuple[Unit, str]]:
        """Return each unit of a task with its characters, pending where nothing was reported."""
        units = self.units(task)
        for unit, chars in zip(units, self.records.statuses(self.spec.id, units), strict=True):
            yield unit, chars or status.PENDING_CHAR * self.spec.size(unit)

    def _keys(self, unit: Unit) -> Sequence[str]:
        if unit.where.startswith("@"):
            return (unit.where,)
        return self.records.shard(self.spec, unit.where).keys

    def _text(self, unit: Unit, index: int, char: str, reason: str | None) -> str:
        """Explain why one entity of a unit failed, was skipped or not run; "" where nothing is to be said."""
        if status.code(char) == status.MISSING:
            return f"missing input: {next(self._gone(unit, [index]))[1]}"
        if reason in status.REASONS and status.code(char) == status.REASONS[reason]:
            condition = self.records.conditions(self.spec.id).get(unit)
            return why_open(condition, self.spec.units.need(unit), self.spec.queue(unit.task))
        return self.records.error(self.spec.id, unit, index)

    def _missing(self, task: str) -> dict[str, str]:
        """Name the inputs that the skipped entities of a task had to do without."""
        texts: dict[str, str] = {}
        for unit, chars in self._chars(task):
            skipped = [i for i, char in enumerate(chars) if status.code(char) == status.MISSING]
            if skipped:
                keys = self._keys(unit)
                texts |= {keys[i]: f"missing input: {gone}" for i, gone in self._gone(unit, skipped)}
        return texts

    def _gone(self, unit: Unit, indices: Sequence[int]) -> Iterator[tuple[int, str]]:
        """Name for entities of a unit those of its required inputs that have no pipe: an index, a text."""
        plan = self.spec.plan
        required = plan.steps[unit.task].required
        # A scoped task gets its entities' inputs as they are, so that only a scope's one pipe can be missing.
        wheres = (unit.where, ALL) if unit.where.startswith("@") else None
        inputs = [
            u
            for u in self.spec.units.inputs(unit)
            if u.task in required and (wheres is None or u.where in wheres)
        ]
        found = self.records.statuses(self.spec.id, inputs)
        stored = [name for name in required if name not in plan.steps]
        for i in indices:
            gone = []
            for u, chars in zip(inputs, found, strict=True):
                its = status.decode(
                    chars[i if u.where == unit.where else 0] if chars else status.PENDING_CHAR
                )
                if its.status != "finished" or not its.observed:
                    gone.append(f"{u.task} ({its})")
            yield i, ", ".join(gone) or f"no {' or '.join(stored or required)} at this date"
