"""Settlement: what came of a run's entities is put into the store, and noted in the unit's tally."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pipeline.errors import CodecError, StoreError, TimedOut, WorkerLost
from pipeline.execution.failures import Failures
from pipeline.execution.standing import standing
from pipeline.execution.task_run import MissingInput, Outcome, Work, describe
from pipeline.execution.tools import Tools
from pipeline.flows.flow import Flow
from pipeline.flows.left_out import LeftOut
from pipeline.flows.task import Task
from pipeline.gate import status
from pipeline.gate.status import EMPTY, ERROR, FINISHED, MISSING, PENDING_CHAR, TIMED_OUT, WORKER_LOST
from pipeline.gate.unit_statuses import Tally
from pipeline.gate.units import Unit
from pipeline.gate.wave_spec import WaveSpec

_CODES: Mapping[type[BaseException], int] = {
    MissingInput: MISSING,
    TimedOut: TIMED_OUT,
    WorkerLost: WORKER_LOST,
}


@dataclass
class Settlement:
    """Puts what a run made, and notes how each entity stands."""

    tools: Tools
    spec: WaveSpec
    flow: Flow
    task: Task
    unit: Unit
    tally: Tally
    failures: Failures = field(default_factory=Failures)

    def settle(self, work: Work, gathered: Sequence[Outcome]) -> None:
        """Put the values and note how each entity stands."""
        entities = work.entities
        values: dict[str, Any] = {}
        places: dict[str, int] = {}
        missed: dict[int, BaseException | None] = {}
        for i, value, error in gathered:
            if value is None:
                missed[i] = error
            else:
                values[entities[i]] = value
                places[entities[i]] = i
        stored, errors = self.put(values)
        self.tally.set([places[key] for key in stored], FINISHED)
        self.miss(missed | {places[key]: error for key, error in errors.items()})
        self._mark_degraded(work, gathered)

    def put_scope(self, values: dict[str, Any], left: LeftOut) -> None:
        """Put what a scoped task made: one pipe, or one an entity.

        Of several those that cannot be put are left out with `left`, unless no other is there.
        """
        raised = {k: v for k, v in values.items() if self.task.batch and isinstance(v, Exception)}
        stored, errors = self.put({k: v for k, v in values.items() if k not in raised})
        if stored:
            self.tally.set([0], FINISHED)
        for key, error in {**raised, **errors}.items():
            named = CodecError(f"{str(key)!r}: {error}") if isinstance(error, CodecError) else error
            if not self.task.batch:
                self.miss({0: named})
            elif stored:
                left.add(key, error)
            else:
                self.fail(0, named)

    def miss(self, missed: Mapping[int, BaseException | None]) -> None:
        """Note why entities have no value, None for no observation.

        Where a pipe stands all the same, which an attempt put that was lost, it counts: a pipe is written once.
        """
        found = self._standing(missed)
        self.tally.set(found, FINISHED)
        for i, error in missed.items():
            if i not in found:
                self.tally.set([i], EMPTY) if error is None else self.fail(i, error)

    def put(self, values: dict[str, Any]) -> tuple[Sequence[str], Mapping[str, Exception]]:
        """Encode and put values; returns the entities whose pipe is in the store now, and why others' are not."""
        if not values:
            return (), {}
        encoded, errors = self.tools.store.encode(values)
        name = self.task.name
        try:
            self.tools.store.put_encoded(
                self.spec.version, name, self.spec.date, encoded, self.task.ttl, self.flow.keep(name)
            )
        except StoreError as error:  # a store of its own is full or gone, while the gate can still be told
            return (), errors | dict.fromkeys(encoded.entities, error)
        return encoded.entities, errors

    def fail(self, index: int, error: BaseException) -> None:
        """Note why an entity has no value."""
        code = _CODES.get(type(error), ERROR)
        if code == MISSING:
            self.tally.set([index], MISSING)  # which inputs, is read off their statuses
        else:
            text = describe(error)
            self.tally.fail(index, code, text)
            self.failures.add(self._key(index), text)

    def _standing(self, indices: Iterable[int]) -> set[int]:
        return standing(self.tools.store, self.tools.records, self.spec, self.unit, indices, self.flow)

    def _key(self, index: int) -> str:
        where = self.unit.where
        return where if where.startswith("@") else self.tools.records.shard(self.spec, where).keys[index]

    def _mark_degraded(self, work: Work, gathered: Sequence[Outcome]) -> None:
        """Mark who finished without an optional input that failed, was skipped or came too late.

        Where the input's task finished without an observation, nothing went wrong, and nothing is marked.
        """
        gaps = {pipe: set(keys) for pipe, keys in work.without.items() if keys}
        if not gaps:
            return
        upstream = self._upstream(list(gaps))
        for i, _, _ in gathered:
            key = work.entities[i]
            if status.done(self.tally.chars[i]) and any(
                key in keys and not self._empty(pipe, upstream[pipe], i) for pipe, keys in gaps.items()
            ):
                self.tally.degrade(i)

    def _upstream(self, pipes: Sequence[str]) -> dict[str, str]:
        """Return the statuses of this shard's units of some inputs; "" for those that this wave does not make."""
        units = [
            next(u for u in self.spec.units.inputs(self.unit) if u.task == pipe)
            for pipe in pipes
            if pipe in self.spec.plan.steps
        ]
        found = dict(
            zip((u.task for u in units), self.tools.records.statuses(self.spec.id, units), strict=True)
        )
        return {pipe: found.get(pipe, "") for pipe in pipes}

    def _empty(self, pipe: str, statuses: str, index: int) -> bool:
        """Return whether an input that an entity went without was finished without an observation."""
        made_by = self.flow.makers[pipe]
        place = index if made_by.per is None else 0
        char = statuses[place : place + 1] or PENDING_CHAR
        # A scoped task that answers for entities may have left this one out.
        return status.done(char) if made_by.per and made_by.batch else status.code(char) == EMPTY
