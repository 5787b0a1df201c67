"""Wave: one execution of a flow over a state at a date, and how it stands."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pipeline.app import settings as app_settings
from pipeline.errors import UnknownName, WaveError, near
from pipeline.gate import status
from pipeline.gate.incidents import Incident
from pipeline.gate.records import WaveInfo
from pipeline.gate.status import Status
from pipeline.gate.unit_record import why_open
from pipeline.gate.units import ALL, Unit
from pipeline.gate.wave_spec import WaveSpec
from pipeline.messaging.canvas import Single
from pipeline.waves.keeper import close
from pipeline.waves.runtime import Runtime, process_runtime

PAUSE = 0.05  # of the time waited so far, until Redis is asked again: what is told late is late by so much at most


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a wave is, in entities of tasks."""

    wave: str
    state: str  # submitting, open or closed
    reason: str | None  # why it is closed: done, empty, expired, superseded or cancelled
    tasks: Mapping[str, Mapping[str, int]]  # task -> status ("finished", "failed: error", ...) -> entities
    total: int  # entities of all tasks
    ended: int  # of these, how many have a terminal status
    seconds: float  # since it was submitted, or until it ended

    @property
    def closed(self) -> bool:
        """Whether it has ended."""
        return self.state == "closed"

    def count(self, name: str) -> int:
        """Count the entity-tasks of one status, whatever their reason: pending, finished, failed or skipped."""
        return sum(
            n
            for counts in self.tasks.values()
            for text, n in counts.items()
            if text.partition(":")[0].split(" ")[0] == name
        )

    def __str__(self) -> str:
        shown = ", ".join(
            f"{self.count(s):,} {s}" for s in ("finished", "failed", "skipped", "pending") if self.count(s)
        )
        reason = f" ({self.reason})" if self.reason not in (None, "done") else ""
        return f"{self.wave}: {self.state}{reason}, {self.ended:,} of {self.total:,} ended: {shown or 'no entities'}"


def told(status: Status, text: str) -> str:
    """Write a status and why it came to it, without saying the reason twice."""
    if not text:
        return str(status)
    return (
        f"{status.status}: {text}"
        if status.reason and text.startswith(status.reason)
        else f"{status}: {text}"
    )


class Wave:
    """One execution of a flow over a state at a date."""

    def __init__(self, spec: WaveSpec, runtime: Runtime) -> None:
        self._spec = spec
        self.runtime = runtime

    @classmethod
    def find(cls, wave_id: str, runtime: Runtime | None = None) -> Wave:
        """Give the wave of that id. Raises UnknownName with the near ones."""
        runtime = runtime or process_runtime(app_settings)
        spec = runtime.records.spec(wave_id)
        if spec is None:
            known = runtime.records.ids()
            raise UnknownName(
                f"no wave {wave_id!r} in Redis.{near(wave_id, known)} `wave ls` lists them all."
            )
        return cls(spec, runtime)

    def __repr__(self) -> str:
        return f"Wave({self.id!r})"

    @property
    def id(self) -> str:
        """`{version}/{flow} {date}`, and a digest where it differs from the flow's ordinary wave."""
        return self._spec.id

    @property
    def spec(self) -> WaveSpec:
        """What it was submitted as."""
        return self._spec

    @property
    def date(self) -> datetime:
        """The hour (UTC) that it is about."""
        return self._spec.date

    @property
    def closed(self) -> bool:
        """Whether it has ended: all is done, or it was closed by its expiry or by `cancel`."""
        return self.info().state == "closed"

    def info(self) -> WaveInfo:
        """Give how it stands as a whole. Raises UnknownName when Redis has forgotten it."""
        info = self.runtime.records.info(self.id)
        if info is None:
            raise UnknownName(
                f"wave {self.id!r} is not in Redis any more: its ttl is over, or Redis lost it."
            )
        return info

    def wait(self, timeout: float | None = None) -> Wave:
        """Wait until the wave has ended; gives the wave. Raises WaveError when it has not within `timeout` seconds."""
        start = time.monotonic()
        while not self.closed:
            waited = time.monotonic() - start
            if timeout is not None and waited > timeout:
                raise WaveError(
                    f"not ended within {timeout:g} s: {self.progress()}. `wave show` tells what is open."
                )
            time.sleep(min(max(waited * PAUSE, 0.002), 0.1))
        return self

    def progress(self) -> Progress:
        """Count the entities of each task by status."""
        info, counts = self.info(), self.runtime.records.counts(self.id)
        tasks: dict[str, Mapping[str, int]] = {}
        ended = 0
        for task in self._spec.plan.steps:
            size = self._spec.size_of(task)
            found = {c: n for c, n in counts.get(task, {}).items() if c != "us" and n}
            left = size - sum(found.values())
            if left:
                char = (
                    status.char(status.REASONS[info.reason])
                    if info.reason in status.REASONS
                    else status.PENDING_CHAR
                )
                found[char] = found.get(char, 0) + left
            ended += size - found.get(status.PENDING_CHAR, 0)
            tasks[task] = in_words(found)
        total = sum(sum(t.values()) for t in tasks.values())
        seconds = (self._now() if info.ended is None else info.ended) - info.submitted
        return Progress(self.id, info.state, info.reason, tasks, total, ended, seconds)

    def running(self) -> dict[str, int]:
        """Give, for each task that runs now, how many entities its shards have that do."""
        found: dict[str, int] = {}
        if not self.closed:
            for unit, condition in self.runtime.records.conditions(self.id).items():
                if condition.name == "running":
                    found[unit.task] = found.get(unit.task, 0) + self._spec.size(unit)
        return found

    def _now(self) -> float:
        whole, micros = self.runtime.client.time()
        return whole + micros / 1e6

    def statuses(self, task: str) -> dict[str, Status]:
        """Give the status of each entity of a task; of its scope for a partition- or wave-scoped one."""
        units = self._units(task)
        reason = self.info().reason
        found: dict[str, Status] = {}
        for unit, chars in zip(units, self.runtime.records.statuses(self.id, units), strict=True):
            chars = chars or status.PENDING_CHAR * self._spec.size(unit)
            if reason in status.REASONS:
                chars = status.settle(chars, reason)
            found |= {key: status.decode(c) for key, c in zip(self._keys(unit), chars, strict=True)}
        return found

    def errors(self, task: str | None = None) -> dict[str, dict[str, str]]:
        """Give the texts of what failed or was skipped: task -> entity -> text."""
        names = [task] if task is not None else list(self._spec.plan.steps)
        found: dict[str, dict[str, str]] = {name: {} for name in names}
        for (name, where, index), text in self.runtime.records.errors(self.id, task).items():
            found[name][self._keys(Unit(name, where))[index]] = text
        for name in names:
            found[name] |= self._missing(name)
        return {name: texts for name, texts in found.items() if texts}

    def unrun(self, task: str) -> dict[str, str]:
        """Say of each entity of a task that the wave's early end left without a run why it had none yet."""
        reason = self.info().reason
        if reason not in status.REASONS:
            return {}
        units, conditions = self._units(task), self.runtime.records.conditions(self.id)
        texts: dict[str, str] = {}
        for unit, chars in zip(units, self.runtime.records.statuses(self.id, units), strict=True):
            chars = chars or status.PENDING_CHAR * self._spec.size(unit)
            if status.PENDING_CHAR not in chars:
                continue
            need, queue = self._spec.units.need(unit), self._spec.queue(task)
            why = why_open(conditions.get(unit), need, queue)
            keys = self._keys(unit)
            texts |= {keys[i]: why for i, char in enumerate(chars) if char == status.PENDING_CHAR}
        return texts

    def place(self, key: str) -> tuple[int, int] | None:
        """Give the number of an entity's shard and its index there; None where the wave does not have it."""
        shards = (self.runtime.records.shard(self.id, str(n)) for n in range(len(self._spec.sizes)))
        return next(((n, shard.keys.index(key)) for n, shard in enumerate(shards) if key in shard.keys), None)

    def entity(self, number: int, index: int) -> tuple[dict[str, Status], dict[str, str]]:
        """Give how the entity at a place stands in each task, and the texts of where it failed or was skipped.

        Tasks that run once a partition or wave are those of the entity.
        """
        records, spec = self.runtime.records, self._spec
        partition, reason = spec.partitions[number], self.info().reason
        units = {
            task: Unit(task, {None: str(number), "partition": f"@{partition}", "wave": ALL}[step.per])
            for task, step in spec.plan.steps.items()
        }
        found = dict(zip(units, records.statuses(self.id, list(units.values())), strict=True))
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

    def _text(self, unit: Unit, index: int, char: str, reason: str | None) -> str:
        """Say why one entity of a unit failed, was skipped or not run; "" where nothing is to be said."""
        if status.code(char) == status.MISSING:
            return f"missing input: {next(self._gone(unit, [index]))[1]}"
        if (
            reason in status.REASONS
            and status.decode(char).reason == status.decode(status.char(status.REASONS[reason])).reason
        ):
            condition = self.runtime.records.conditions(self.id).get(unit)
            return why_open(condition, self._spec.units.need(unit), self._spec.queue(unit.task))
        return self.runtime.records.error(self.id, unit, index)

    def incidents(self) -> list[Incident]:
        """Give what went otherwise than it should, oldest first, the first thousand: what was lost, hung, late ..."""
        return self.runtime.records.incidents(self.id)[0]

    def _missing(self, task: str) -> dict[str, str]:
        """Say which inputs the skipped entities of a task had to do without."""
        texts: dict[str, str] = {}
        units = self._units(task)
        for unit, chars in zip(units, self.runtime.records.statuses(self.id, units), strict=True):
            skipped = [i for i, char in enumerate(chars) if status.code(char) == status.MISSING]
            if skipped:
                keys = self._keys(unit)
                texts |= {keys[i]: f"missing input: {gone}" for i, gone in self._gone(unit, skipped)}
        return texts

    def _gone(self, unit: Unit, indices: Sequence[int]) -> Iterator[tuple[int, str]]:
        """Say for entities of a unit which of its required inputs have no pipe: an index, a text."""
        plan = self._spec.plan
        required = plan.steps[unit.task].required
        # A scoped task gets its entities' inputs as they are, so that only a scope's one pipe can be missing.
        wheres = (unit.where, ALL) if unit.where.startswith("@") else None
        inputs = [
            u
            for u in self._spec.units.inputs(unit)
            if u.task in required and (wheres is None or u.where in wheres)
        ]
        found = self.runtime.records.statuses(self.id, inputs)
        stored = [name for name in required if name not in plan.steps]
        for i in indices:
            gone = []
            for u, chars in zip(inputs, found, strict=True):
                char = chars[i if u.where == unit.where else 0] if chars else status.PENDING_CHAR
                if not _has_pipe(status.decode(char)):
                    gone.append(f"{u.task} ({status.decode(char)})")
            yield i, ", ".join(gone) or f"no {' or '.join(stored or required)} at this date"

    def result(self, task: str, entity: str) -> Any:
        """Give the value of a task for an entity. Raises UnknownName, with the status, when there is no pipe."""
        self._units(task)
        found = self.runtime.store.get(self._spec.version, task, self.date, [entity], base=self._spec.base)
        if entity not in found:
            known = self.statuses(task)
            text = self.errors(task).get(task, {}).get(entity, "")
            why = (
                f"it is {told(known[entity], text)}{'' if text.endswith('.') else '.'}"
                if entity in known
                else f"it has no such entity.{near(entity, known)}"
            )
            raise UnknownName(f"wave {self.id!r} has no pipe {task!r} of {entity!r}: {why}")
        return found[entity]

    def cancel(self) -> bool:
        """Close it: what is open is not run any more. False when it has ended already."""
        return close(self.runtime.gate, self._spec, "cancelled", self.runtime.tracer)

    def retry(self) -> Wave:
        """Run failed, skipped and expired entities again; what is finished is kept.

        Raises WaveError while the wave is open.
        """
        gate = self.runtime.gate
        token = gate.begin(self.id)
        if token is None:
            raise WaveError(
                f"wave {self.id!r} is still open. Wait for its end, or cancel it, and retry then."
            )
        again = self._unfinished()
        if not again:
            return self
        needs = {unit: sum(i in again for i in self._spec.units.inputs(unit)) for unit in again}
        texts = [key for key in self.runtime.records.errors(self.id) if Unit(key[0], key[1]) in again]
        first = [unit for unit, need in needs.items() if need == 0]
        other = WaveError(f"wave {self.id!r} was opened by somebody else just now. Look at `wave show`.")
        if not gate.reset(self.id, token, ((unit, needs[unit], kept) for unit, kept in again.items())):
            raise other
        self.runtime.records.drop_errors(self.id, texts)
        if not gate.reopen(self.id, token, self._spec.expiry, len(again), first):
            raise other
        self.runtime.sender.send(self._spec, [Single(unit) for unit in first])
        gate.open(self.id)
        return self

    def _unfinished(self) -> dict[Unit, str]:
        """Give the units that are not done or have unfinished entities, with their statuses without these."""
        units, records = list(self._spec.units), self.runtime.records
        conditions = records.conditions(self.id)
        again: dict[Unit, str] = {}
        for unit, chars in zip(units, records.statuses(self.id, units), strict=True):
            chars = chars or status.PENDING_CHAR * self._spec.size(unit)
            kept = "".join(c if status.done(c) else status.PENDING_CHAR for c in chars)
            if status.PENDING_CHAR in kept or unit not in conditions or conditions[unit].name != "done":
                again[unit] = kept
        return again

    def _units(self, task: str) -> list[Unit]:
        if task not in self._spec.plan.steps:
            steps = self._spec.plan.steps
            raise UnknownName(
                f"wave {self.id!r} has no task {task!r}.{near(task, steps)} It has: {', '.join(steps)}."
            )
        return [Unit(task, where) for where in self._spec.units.places(task)]

    def _keys(self, unit: Unit) -> Sequence[str]:
        if unit.where.startswith("@"):
            return (unit.where,)
        return self.runtime.records.shard(self.id, unit.where).keys


def in_words(counts: Mapping[str, int]) -> dict[str, int]:
    """Write out the characters of one task's counts: status as text -> entities."""
    return {str(status.decode(char)): n for char, n in sorted(counts.items()) if char != "us" and n}


def _has_pipe(found: Status) -> bool:
    return found.status == "finished" and found.observed
