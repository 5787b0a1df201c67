"""Run one unit: claim it, run its task, put the pipes, report. Knows the gate, not Celery."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from pipeline import status
from pipeline.discover import Flows
from pipeline.entity import Entity
from pipeline.errors import PipelineError, TimedOut
from pipeline.flow import Flow
from pipeline.gate import Claim, Gate, Receipt
from pipeline.inputs import Source
from pipeline.rate import RateLimiter
from pipeline.records import Records, WaveSpec
from pipeline.state import State
from pipeline.status import DEGRADED, EMPTY, ERROR, FINISHED, MISSING, PENDING_CHAR, TIMED_OUT
from pipeline.store import Store
from pipeline.task import Task
from pipeline.units import Unit
from pipeline.work import MissingInput, Outcome, Work, describe, scoped

SLICE_SECONDS = 1.0  # how long finished entities wait at most until they are put and reported


@dataclass(frozen=True, slots=True)
class Ran:
    """What came of running a unit."""

    answer: str  # granted; why the claim was refused (see Claim); or unknown: this worker has no such task
    spec: WaveSpec | None = None
    ready: tuple[Unit, ...] = ()  # dependents that this run's report made ready
    closed: bool = False  # the wave ended with it


@dataclass
class Tally:
    """How a unit's entities stand, and what of it was not reported yet."""

    chars: list[str]
    reported: list[str] = field(init=False)
    errors: dict[int, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.reported = list(self.chars)

    @classmethod
    def start(cls, size: int, statuses: str) -> Tally:
        """Begin with what earlier attempts left."""
        return cls(list(statuses) if statuses else [PENDING_CHAR] * size)

    def open(self) -> list[int]:
        """Give the entities that have not ended yet."""
        return [i for i, char in enumerate(self.chars) if char == PENDING_CHAR]

    def report(self) -> dict[str, Any]:
        """Give what changed since the last report, in the form in which the gate takes it."""
        statuses = "".join(self.chars)
        late = status.with_late(statuses, "".join(self.reported))
        changed = [(n, m) for n, m, old in zip(statuses, late, self.reported, strict=True) if n != old]
        counts: dict[tuple[str, str], int] = {}
        for pair in changed:
            counts[pair] = counts.get(pair, 0) + 1
        errors, self.errors, self.reported = self.errors, {}, list(self.chars)
        return {"statuses": statuses, "late_statuses": late, "counts": counts, "errors": errors}


@dataclass(frozen=True)
class Runner:
    """Runs units for one process."""

    gate: Gate
    records: Records
    store: Store
    flows: Flows
    rates: RateLimiter
    bind_state: Callable[[State], Any]  # what a task that asks for `state` gets
    owner: str  # who renews the leases
    lease: float  # seconds

    def run(self, wave_id: str, unit: Unit) -> Ran:
        """Claim a unit and run it. Never raises for what a user's function does."""
        spec = self.records.spec(wave_id)
        if spec is None:
            return Ran("lost")
        flow = self.flows.get(spec.flow)
        task = self.flows.task(spec.flow, unit.task)
        if flow is None or task is None:
            return Ran("unknown", spec)
        claim = self._claim(spec, unit, task.time_limit)
        if not claim.granted:
            return Ran(claim.answer, spec)
        receipt = _Attempt(self, spec, flow, task, unit, claim).run()
        return Ran("granted", spec, receipt.ready, receipt.closed)

    def end(self, wave_id: str, unit: Unit) -> Ran:
        """End a run that is past its time limit: entities that it has not reported are failed as timed out."""
        spec = self.records.spec(wave_id)
        if spec is None:
            return Ran("lost")
        limit = spec.plan.steps[unit.task].time_limit
        claim = self._claim(spec, unit, limit, seize=True)
        if not claim.granted:
            return Ran(claim.answer, spec)
        tally = Tally.start(spec.size(unit), claim.statuses)
        for i in tally.open():
            tally.chars[i] = status.char(TIMED_OUT)
            tally.errors[i] = f"not done within the time limit of {limit:g} s; its worker was stopped"
        receipt = self.report(spec, unit, claim.attempt, tally, 0.0, final=True)
        return Ran("granted", spec, receipt.ready, receipt.closed)

    def _claim(self, spec: WaveSpec, unit: Unit, limit: float, seize: bool = False) -> Claim:
        return self.gate.claim(
            spec.id,
            unit,
            need=spec.units.need(unit),
            timeout=spec.plan.steps[unit.task].timeout,
            lease=self.lease,
            limit=limit,
            owner=self.owner,
            waiting=spec.units.waiting(unit.where),
            seize=seize,
        )

    def report(
        self, spec: WaveSpec, unit: Unit, attempt: int, tally: Tally, took: float, final: bool
    ) -> Receipt:
        """Report what changed of a unit."""
        dependents = [(d, spec.units.need(d)) for d in spec.units.dependents(unit)]
        return self.gate.report(
            spec.id, unit, attempt, **tally.report(), dependents=dependents, took=took, final=final
        )


@dataclass
class _Attempt:
    """One granted attempt at a unit."""

    runner: Runner
    spec: WaveSpec
    flow: Flow
    task: Task
    unit: Unit
    claim: Claim

    def __post_init__(self) -> None:
        self.tally = Tally.start(self.spec.size(self.unit), self.claim.statuses)
        self.source = Source(
            self.runner.store,
            self.spec.version,
            self.spec.base,
            self.spec.date,
            self.flow.tasks,
            frozenset(self.spec.plan.steps),
        )
        self.clock = time.perf_counter()

    def run(self) -> Receipt:
        """Run it to its end; gives the last receipt."""
        scope = self.unit.where.startswith("@")
        return self._run_scope() if scope else self._run_shard()

    def _run_shard(self) -> Receipt:
        shard = self.runner.records.shard(self.spec.id, self.unit.where)
        entities = shard.entities() if "entity" in self.task.wants else shard.keys
        work = Work(self.task, self.source, entities, shard.partition, self._state(), self._throttle())
        positions = self.tally.open()
        gathered: list[Outcome] = []
        since = time.perf_counter()
        with closing(self._outcomes(work, positions)) as outcomes:
            for outcome in outcomes:
                gathered.append(outcome)
                if time.perf_counter() - since > SLICE_SECONDS:
                    self._settle(work, gathered)
                    if not self._report(final=False).ok:
                        return Receipt("stale")
                    gathered, since = [], time.perf_counter()
        self._settle(work, gathered)
        return self._report(final=True)

    def _outcomes(self, work: Work, positions: Sequence[int]) -> Generator[Outcome]:
        """Give the outcomes; what goes wrong outside the user's function (a pipe that cannot be read) is one too."""
        left = set(positions)
        if not left:
            return
        try:
            for outcome in work.outcomes(positions):
                left.discard(outcome[0])
                yield outcome
        except PipelineError as error:
            for i in sorted(left):
                yield i, None, error

    def _settle(self, work: Work, gathered: Sequence[Outcome]) -> None:
        """Put the values and note how each entity stands."""
        entities, chars = work.entities, self.tally.chars
        values: dict[str, Any] = {}
        places: dict[str, int] = {}
        for i, value, error in gathered:
            if error is not None:
                self._fail(i, error)
            elif value is None:
                chars[i] = status.char(EMPTY)
            else:
                values[entities[i]] = value
                places[entities[i]] = i
        finished = status.char(FINISHED)
        for key in self._put(values, places):
            chars[places[key]] = finished
        self._mark_degraded(work, gathered)

    def _put(self, values: dict[str, Any], places: dict[str, int]) -> Sequence[str]:
        """Encode and put values; gives the entities whose pipe is in the store now."""
        if not values:
            return ()
        encoded, errors = self.runner.store.encode(values)
        for key, error in errors.items():
            self._fail(places.get(key, 0), error)
        self.runner.store.put_encoded(
            self.spec.version,
            self.task.name,
            self.spec.date,
            encoded,
            self.task.ttl,
            self.flow.keep(self.task.name),
        )
        return encoded.entities

    def _fail(self, index: int, error: BaseException) -> None:
        if isinstance(error, MissingInput):
            self.tally.chars[index] = status.char(MISSING)
            return
        code = TIMED_OUT if isinstance(error, TimedOut) else ERROR
        self.tally.chars[index] = status.char(code)
        self.tally.errors[index] = describe(error)

    def _mark_degraded(self, work: Work, gathered: Sequence[Outcome]) -> None:
        """Mark who finished without an optional input that failed, was skipped or came too late.

        Where the input's task finished without an observation, nothing went wrong, and nothing is marked.
        """
        gaps = {pipe: set(keys) for pipe, keys in work.without.items() if keys}
        if not gaps:
            return
        upstream = self._upstream(list(gaps))
        for i, _, error in gathered:
            char = self.tally.chars[i]
            if error is None and status.done(char):
                key = work.entities[i]
                if any(key in keys and not _empty(upstream[pipe], i) for pipe, keys in gaps.items()):
                    self.tally.chars[i] = chr(ord(char) | DEGRADED)

    def _upstream(self, pipes: Sequence[str]) -> dict[str, str]:
        """Give the statuses of this shard's units of some inputs; "" for those that this wave does not make."""
        units = [
            next(u for u in self.spec.units.inputs(self.unit) if u.task == pipe)
            for pipe in pipes
            if pipe in self.spec.plan.steps
        ]
        found = dict(
            zip((u.task for u in units), self.runner.records.statuses(self.spec.id, units), strict=True)
        )
        return {pipe: found.get(pipe, "") for pipe in pipes}

    def _run_scope(self) -> Receipt:
        records, where = self.runner.records, self.unit.where
        entity = records.scope_entity(where)
        shards = [records.shard(self.spec.id, n) for n in self.spec.units.shards_of(where)]
        keys = [(shard.partition, shard.keys) for shard in shards]
        values, error = self._scoped_values(entity, keys)
        self.tally.chars[0] = status.char(
            EMPTY if not any(v is not None for v in values.values()) else FINISHED
        )
        if error is None:
            self._put({k: v for k, v in values.items() if v is not None}, {})
        else:
            self._fail(0, error)
        return self._report(final=True)

    def _scoped_values(self, entity: Entity, keys: Sequence[tuple[str, Sequence[str]]]) -> tuple[Any, Any]:
        try:
            return scoped(self.task, self.source, entity, keys, self._state(), self._throttle())
        except PipelineError as error:
            return {}, error

    def _report(self, final: bool) -> Receipt:
        now = time.perf_counter()
        took, self.clock = now - self.clock, now
        return self.runner.report(self.spec, self.unit, self.claim.attempt, self.tally, took, final)

    def _state(self) -> Any:
        if "state" not in self.task.wants or self.flow.state is None:
            return None
        return self.runner.bind_state(self.flow.state)

    def _throttle(self) -> Callable[[], None] | None:
        rate = self.task.rate
        if rate is None:
            return None
        name = f"{self.spec.flow}.{self.task.name}"

        def wait() -> None:
            time.sleep(self.runner.rates.reserve(name, rate) or 0.0)

        return wait


def _empty(statuses: str, index: int) -> bool:
    return index < len(statuses) and status.code(statuses[index]) == EMPTY
