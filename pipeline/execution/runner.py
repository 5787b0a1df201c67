"""Run one unit: claim it and make the attempt. Knows the gate, not Celery."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.execution.attempt import AGAIN, Attempt, report
from pipeline.execution.standing import standing
from pipeline.execution.tools import Tools
from pipeline.flows.discover import Flows
from pipeline.gate.answers import Claim
from pipeline.gate.status import FINISHED, TIMED_OUT
from pipeline.gate.unit_statuses import Tally
from pipeline.gate.units import Unit
from pipeline.gate.wave_spec import WaveSpec

RESENT = 5.0  # seconds until a keeper sends what goes on alone, should its message be lost


@dataclass(frozen=True, slots=True)
class Ran:
    """What came of running a unit."""

    # granted; why the claim was refused (see Claim), or alone: it goes on so; unknown: no such task is known here
    answer: str
    spec: WaveSpec | None = None
    ready: tuple[Unit, ...] = ()  # dependents that this run's report made ready
    closed: bool = False  # the wave ended with it


@dataclass(frozen=True)
class Runner:
    """Runs units for one process."""

    tools: Tools
    flows: Flows
    owner: str  # who renews the leases
    lease: float  # seconds

    def run(self, wave_id: str, unit: Unit, alone: bool = False) -> Ran:
        """Claim a unit and run it. Never raises for what a user's function does.

        `alone` says that this worker runs nothing else, so that it may take what has killed workers before.
        """
        spec = self.tools.records.recall(wave_id)
        if spec is None:
            return Ran("lost")
        flow = self.flows.get(spec.flow)
        task = self.flows.task(spec.flow, unit.task)
        if flow is None or task is None:
            return Ran("unknown", spec)
        claim = self._claim(spec, unit, task.time_limit, "alone" if alone else "run")
        if claim.answer == "other":
            self.tools.records.forget()
            return self.run(wave_id, unit, alone)
        if not claim.granted:
            return Ran(claim.answer, spec)
        receipt = Attempt(self.tools, spec, flow, task, unit, claim).run(alone)
        if receipt.answer == AGAIN:
            return self._alone_again(spec, unit)
        return Ran("granted", spec, receipt.ready, receipt.closed)

    def end(self, wave_id: str, unit: Unit) -> Ran:
        """End a run that is past its time limit: entities that it has not reported are failed as timed out.

        Where it ran alone, those that it was at; the others go on alone.
        """
        spec = self.tools.records.spec(wave_id)
        if spec is None:
            return Ran("lost")
        limit = spec.plan.steps[unit.task].time_limit
        claim = self._claim(spec, unit, limit, "seize")
        if not claim.granted:
            return Ran(claim.answer, spec)
        size = spec.size(unit)
        tally = Tally.start(size, claim.statuses)
        first, stop = claim.mark or (0, size)
        if (
            1 < stop - first < size
        ):  # a part of a batch that may be split: whose fault it was is not known yet
            self.tools.gate.drop(self.owner, [(wave_id, unit)])
            return Ran("granted", spec)
        flow = self.flows.get(spec.flow)
        found = standing(self.tools.store, self.tools.records, spec, unit, tally.open(), flow)
        tally.set(found, FINISHED)
        for i in tally.open():
            if first <= i < stop:
                tally.fail(
                    i, TIMED_OUT, f"not done within the time limit of {limit:g} s; its worker was stopped"
                )
        more = bool(tally.open())
        receipt = report(self.tools, spec, unit, claim.attempt, tally, 0.0, limit, final=not more)
        if more and receipt.ok:
            return self._alone_again(spec, unit)
        return Ran("granted", spec, receipt.ready, receipt.closed)

    def _alone_again(self, spec: WaveSpec, unit: Unit) -> Ran:
        """Leave the rest of a run alone to the next message."""
        self.tools.gate.release(self.owner, [(spec.id, unit)], delay=RESENT)
        return Ran("alone", spec)

    def _claim(self, spec: WaveSpec, unit: Unit, limit: float, mode: str) -> Claim:
        return self.tools.gate.claim(
            spec.id,
            unit,
            need=spec.units.need(unit),
            timeout=spec.plan.steps[unit.task].timeout,
            lease=self.lease,
            limit=limit,
            owner=self.owner,
            waiting=spec.units.waiting(unit.where),
            mode=mode,
            submission=spec.submission,
        )
