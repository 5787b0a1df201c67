"""Settlement: what came of a run's entities is put into the store, and noted in the unit's tally."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pipeline.errors import CodecError, StoreError, TimedOut, WorkerLost
from pipeline.execution.failures import Failures
from pipeline.execution.task_run import MissingInput, Outcome, Work, describe
from pipeline.execution.tools import Tools
from pipeline.flows.flow import Flow
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
        empty: list[int] = []
        for i, value, error in gathered:
            if error is not None:
                self.fail(i, error)
            elif value is None:
                empty.append(i)
            else:
                values[entities[i]] = value
                places[entities[i]] = i
        self.tally.set(empty, EMPTY)
        self.tally.set([places[key] for key in self.put(values, places)], FINISHED)
        self._mark_degraded(work, gathered)

    def put(self, values: dict[str, Any], places: Mapping[str, int]) -> Sequence[str]:
        """Encode and put values; returns the entities whose pipe is in the store now."""
        if not values:
            return ()
        encoded, errors = self.tools.store.encode(values)
        for key, error in errors.items():
            named = error if key in places else CodecError(f"{str(key)!r}: {error}")
            self.fail(places.get(key, 0), named)
        name = self.task.name
        try:
            self.tools.store.put_encoded(
                self.spec.version, name, self.spec.date, encoded, self.task.ttl, self.flow.keep(name)
            )
        except StoreError as error:  # a store of its own is full or gone, while the gate can still be told
            for key in encoded.entities:
                self.fail(places.get(key, 0), error)
            return ()
        return encoded.entities

    def fail(self, index: int, error: BaseException) -> None:
        """Note why an entity has no value."""
        code = _CODES.get(type(error), ERROR)
        if code == MISSING:
            self.tally.set([index], MISSING)  # which inputs, is read off their statuses
        else:
            text = describe(error)
            self.tally.fail(index, code, text)
            self.failures.add(self._key(index), text)

    def _key(self, index: int) -> str:
        where = self.unit.where
        return where if where.startswith("@") else self.tools.records.shard(self.spec.id, where).keys[index]

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
