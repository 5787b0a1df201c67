"""Run one unit: claim it and make the attempt. Knows the gate, not Celery."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.execution.attempt import Attempt, report
from pipeline.execution.standing import standing
from pipeline.execution.tools import Tools
from pipeline.flows.discover import Flows
from pipeline.gate.answers import Claim
from pipeline.gate.status import FINISHED, TIMED_OUT
from pipeline.gate.unit_statuses import Tally
from pipeline.gate.units import Unit
from pipeline.gate.wave_spec import WaveSpec


@dataclass(frozen=True, slots=True)
class Ran:
    """What came of running a unit."""

    answer: str  # granted; why the claim was refused (see Claim); or unknown: this worker has no such task
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
        return Ran("granted", spec, receipt.ready, receipt.closed)

    def end(self, wave_id: str, unit: Unit) -> Ran:
        """End a run that is past its time limit: entities that it has not reported are failed as timed out."""
        spec = self.tools.records.spec(wave_id)
        if spec is None:
            return Ran("lost")
        limit = spec.plan.steps[unit.task].time_limit
        claim = self._claim(spec, unit, limit, "seize")
        if not claim.granted:
            return Ran(claim.answer, spec)
        tally = Tally.start(spec.size(unit), claim.statuses)
        flow = self.flows.get(spec.flow)
        found = standing(self.tools.store, self.tools.records, spec, unit, tally.open(), flow)
        tally.set(found, FINISHED)
        for i in tally.open():
            tally.fail(i, TIMED_OUT, f"not done within the time limit of {limit:g} s; its worker was stopped")
        receipt = report(self.tools, spec, unit, claim.attempt, tally, 0.0, limit, final=True)
        return Ran("granted", spec, receipt.ready, receipt.closed)

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
