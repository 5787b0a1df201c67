"""Attempt: one granted run of a unit. It reads, calls, puts the pipes and reports, in slices."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass
from typing import Any

from pipeline.errors import PipelineError, UnreadableError, WorkerLost
from pipeline.execution.current_run import during
from pipeline.execution.inputs import Source
from pipeline.execution.settlement import Settlement
from pipeline.execution.slices import Slices
from pipeline.execution.task_run import Outcome, Work, describe, scoped
from pipeline.execution.tools import Tools
from pipeline.flows.entity import Entity
from pipeline.flows.flow import Flow
from pipeline.flows.left_out import LeftOut
from pipeline.flows.task import Task
from pipeline.gate.answers import Claim, Receipt
from pipeline.gate.status import ERROR
from pipeline.gate.unit_statuses import Tally
from pipeline.gate.units import Unit, scope_entity
from pipeline.gate.wave_spec import WaveSpec
from pipeline.telemetry.logs import get_logger

log = get_logger("pipeline.attempt")

TURN = (
    1.5  # seconds after which a run alone begins no further piece; less than a message lives past its limit
)
AGAIN = "again"  # the receipt of a run alone that has more to do


def report(
    tools: Tools, spec: WaveSpec, unit: Unit, attempt: int, tally: Tally, took: float, ran: float, final: bool
) -> Receipt:
    """Report what changed of a unit; `took` are the seconds of work since the last report, `ran` since the claim."""
    dependents = [(d, spec.units.need(d)) for d in spec.units.dependents(unit)]
    receipt = tools.gate.report(
        spec.id,
        unit,
        attempt,
        **tally.report(),
        dependents=dependents,
        took=took,
        ran=ran,
        final=final,
        submission=spec.submission,
    )
    tally.accept(receipt.late)
    return receipt


@dataclass
class Attempt:
    """One granted attempt at a unit."""

    tools: Tools
    spec: WaveSpec
    flow: Flow
    task: Task
    unit: Unit
    claim: Claim

    def __post_init__(self) -> None:
        self.tally = Tally.start(self.spec.size(self.unit), self.claim.statuses)
        self.settlement = Settlement(self.tools, self.spec, self.flow, self.task, self.unit, self.tally)
        self.source = Source(
            self.tools.store,
            self.spec.version,
            self.spec.base,
            self.spec.date,
            self.flow.makers,
            frozenset(self.spec.plan.steps),
        )
        self.left = LeftOut()  # entities that the task's answer or its state went on without
        self.clock = self.began = time.perf_counter()

    def run(self, alone: bool) -> Receipt:
        """Run it to its end; returns the last receipt."""
        with self.tools.tracer.run(self.spec, self.unit, self.claim.attempt) as told:
            with during(self.task.name, self.source):
                receipt = self._run(alone)
            told("".join(self.tally.chars), self.settlement.failures.lines())
        for line in self.settlement.failures.lines():
            log.warning("entities failed", **line)
        return receipt

    def _run(self, alone: bool) -> Receipt:
        try:
            return self._run_as(alone)
        except UnreadableError as error:  # a shard of its wave: no other attempt would read it
            for i in self.tally.open():
                self.tally.fail(i, ERROR, describe(error))
            return self._report(final=True)

    def _run_as(self, alone: bool) -> Receipt:
        scope = self.unit.where.startswith("@")
        if not alone:
            with self._watched():
                return self._run_scope() if scope else self._run_shard(self._work())
        if self.claim.mark is not None:
            self._blame(*self.claim.mark)
            # At once: should this worker die before its first report, the blame would be forgotten.
            if not self._report(final=False).ok:
                return Receipt("stale")
        if not scope:
            return self._run_alone(self._work())
        if self.tally.open() and self._mark(0, 1):
            with self._watched(alone=True):
                return self._run_scope()
        return self._report(final=True)

    # -- a shard

    def _work(self) -> Work:
        shard = self.tools.records.shard(self.spec, self.unit.where)
        entities = shard.entities() if "entity" in self.task.wants else shard.keys
        return Work(
            self.task,
            self.source,
            entities,
            shard.partition,
            self._state(),
            self._throttle(),
            left=self.left,
        )

    def _run_shard(self, work: Work) -> Receipt:
        slices = Slices(
            lambda gathered: self.settlement.settle(work, gathered), lambda: self._report(final=False).ok
        )
        with slices.ticking(), closing(self._outcomes(work, self.tally.open())) as outcomes:
            for outcome in outcomes:
                slices.add(outcome)
                if slices.refused:
                    return Receipt("stale")
        slices.settle()
        return self._report(final=True)

    def _outcomes(self, work: Work, positions: Sequence[int]) -> Generator[Outcome]:
        """Return the outcomes; what goes wrong outside the user's function (a pipe that cannot be read) is one too."""
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

    # -- alone, after it has killed workers

    def _run_alone(self, work: Work) -> Receipt:
        """Run some entities at a time, with a mark before each, so that a death tells whose it was.

        After a turn the rest is left to another message, so that each piece has all of its time limit.
        """
        left, size = self.tally.open(), self._piece()
        while left:
            first = left[0]
            piece = [i for i in left if i < first + size]
            left = left[len(piece) :]
            if not self._mark(first, piece[-1] + 1):
                return Receipt("stale")
            with self._watched(alone=True), closing(self._outcomes(work, piece)) as outcomes:
                self.settlement.settle(work, list(outcomes))
            if left and not self._report(final=False).ok:
                return Receipt("stale")
            if left and time.perf_counter() - self.began > TURN:
                return Receipt(AGAIN)
        return self._report(final=True)

    def _mark(self, first: int, stop: int) -> bool:
        return self.tools.gate.mark(
            self.spec.id, self.unit, self.claim.attempt, first, stop, self.spec.submission
        )

    def _piece(self) -> int:
        """Return how many entities a run alone takes at once: those of which any may have killed the last worker."""
        size = len(self.tally.chars)
        if not self.task.batch:
            return 1
        if not self.task.splittable:
            return size
        before = self.claim.mark or (0, size)
        return max(1, (before[1] - before[0]) // 2)

    def _blame(self, first: int, stop: int) -> None:
        """Fail the entities at which the last attempt was lost, where it could not be one of several."""
        if stop - first > 1 and self.task.batch and self.task.splittable:
            return
        blamed = WorkerLost("its worker died each time it ran this, the last time alone")
        self.settlement.miss({i: blamed for i in self.tally.open() if first <= i < stop})

    # -- a scope

    def _run_scope(self) -> Receipt:
        records, where = self.tools.records, self.unit.where
        entity = scope_entity(where)
        shards = [records.shard(self.spec, n) for n in self.spec.units.shards_of(where)]
        values, error = self._scoped_values(entity, [(shard.partition, shard.keys) for shard in shards])
        found = {key: value for key, value in values.items() if value is not None}
        if error is None and found:
            self.settlement.put_scope(found, self.left)
        else:
            self.settlement.miss({0: error})
        return self._report(final=True)

    def _scoped_values(
        self, entity: Entity, shards: Sequence[tuple[str, Sequence[str]]]
    ) -> tuple[Mapping[str, Any], BaseException | None]:
        try:
            return scoped(self.task, self.source, entity, shards, self._state(), self._throttle(), self.left)
        except PipelineError as error:
            return {}, error

    # -- both

    def _watched(self, alone: bool = False) -> AbstractContextManager[None]:
        return self.tools.watch(self.spec.id, self.unit, self.task.time_limit, alone)

    def _report(self, final: bool) -> Receipt:
        if final and self.left:
            log.warning("entities were left out", count=self.left.count, first=self.left.lines()[0])
            self.tools.records.leave_out(self.spec.id, self.left)
        now = time.perf_counter()
        took, self.clock = now - self.clock, now
        return report(
            self.tools, self.spec, self.unit, self.claim.attempt, self.tally, took, now - self.began, final
        )

    def _state(self) -> Any:
        if "state" not in self.task.wants or self.flow.state is None:
            return None
        return self.tools.bind_state(self.flow.state, self.left)

    def _throttle(self) -> Callable[[], None] | None:
        rate = self.task.rate
        if rate is None:
            return None
        name = f"{self.spec.flow}.{self.task.name}"

        def wait() -> None:
            time.sleep(self.tools.rates.reserve(name, rate) or 0.0)

        return wait
