"""What a wave's page shows: its graph with numbers, failures by reason, incidents, and when its shards ran."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.dashboard.colours import shares, verdict
from pipeline.dashboard.layout import WIDTH, Drawing, draw
from pipeline.dashboard.timeline import Timeline, timeline
from pipeline.flows.left_out import LeftOut
from pipeline.gate.incidents import Incident, grouped
from pipeline.gate.records import WaveInfo
from pipeline.gate.status_groups import by_kind
from pipeline.waves.cost import Cost
from pipeline.waves.progress import Progress
from pipeline.waves.progress import in_words as statuses
from pipeline.waves.reasons import Reason, reasons
from pipeline.waves.wave import Wave

BAR = WIDTH - 16  # pixels of the bar in a task's box
LISTED = 200  # entities of one reason that are listed
INCIDENTS = 12  # kinds of incidents that are shown


@dataclass(frozen=True)
class WaveView:
    """One wave."""

    wave: Wave
    progress: Progress
    drawing: Drawing
    bars: Mapping[str, Sequence[tuple[str, float, float]]]  # task -> kind, x, width
    numbers: Mapping[str, str]  # task -> in words
    work: Mapping[str, float]  # task -> seconds
    reasons: Mapping[str, Sequence[Reason]]
    incidents: Sequence[tuple[str, Sequence[Incident]]]  # task, and those of one kind
    timeline: Timeline
    cost: Cost | None  # where there is a PIPELINE_PRICE
    left_out: LeftOut

    @property
    def open(self) -> bool:
        """Whether it goes on changing."""
        return not self.progress.closed


def view(wave: Wave) -> WaveView:
    """Look at a wave."""
    progress, running = wave.progress(), wave.running()
    records, price = wave.runtime.records, wave.runtime.settings.price
    counts, found = records.counts(wave.id), records.incidents(wave.id)[0]
    return WaveView(
        wave,
        progress,
        draw({name: step.inputs for name, step in wave.spec.plan.steps.items()}),
        {task: shares(its, BAR, running.get(task, 0)) for task, its in progress.tasks.items()},
        {task: in_words(its, running.get(task, 0)) for task, its in progress.tasks.items()},
        {task: its.get("us", 0) / 1e6 for task, its in counts.items()},
        reasons(wave),
        [(task, its) for (task, _), its in grouped(found).items()][:INCIDENTS],
        timeline(records.starts(wave.id), records.conditions(wave.id), wave.info().submitted),
        Cost.of(counts, progress.count("finished") + progress.count("failed"), price) if price else None,
        wave.left_out(),
    )


@dataclass(frozen=True, slots=True)
class Line:
    """One wave among those of its flow."""

    verdict: str  # open, good, flawed or bad
    kinds: Mapping[str, int]  # kind -> entities of its tasks
    cost: Cost | None


def line(info: WaveInfo, counts: Mapping[str, Mapping[str, int]], price: float) -> Line:
    """Sum a wave up, from its counts as records give them."""
    total: dict[str, int] = {}
    for its in counts.values():
        for kind, n in by_kind(statuses(its)).items():
            total[kind] = total.get(kind, 0) + n
    ran = sum(n for kind, n in total.items() if kind in ("finished", "degraded", "failed"))
    cost = Cost.of(counts, ran, price) if price else None
    return Line(verdict(info.state, info.reason, list(total.items())), total, cost)


def in_words(counts: Mapping[str, int], running: int = 0) -> str:
    """Write the numbers of a task: "980 finished, 20 failed"."""
    return ", ".join(f"{n:,} {kind}" for kind, n in by_kind(counts, running).items()) or "no entities"


def live(wave: Wave) -> dict[str, Any]:
    """Return what changes while a wave runs, for the page's script."""
    progress, running = wave.progress(), wave.running()
    return {
        "state": progress.state,
        "reason": progress.reason,
        "ended": progress.ended,
        "total": progress.total,
        "seconds": progress.seconds,
        "tasks": {
            task: {"bar": shares(its, BAR, running.get(task, 0)), "text": in_words(its, running.get(task, 0))}
            for task, its in progress.tasks.items()
        },
    }
