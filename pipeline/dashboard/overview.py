"""What the overview shows: each flow with its newest waves, what is due, queues, alerts."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from pipeline.dashboard.colours import verdict
from pipeline.flows.cron import Cron
from pipeline.flows.flow import Flow
from pipeline.gate.records import WaveInfo
from pipeline.gate.status_groups import by_kind
from pipeline.monitoring.alert_rules import Alert, Bounds, alerts
from pipeline.monitoring.backlog import Backlog
from pipeline.monitoring.cover import Covered, by_flow
from pipeline.monitoring.observe import Observed, Standing, lately, observe
from pipeline.waves.progress import in_words
from pipeline.waves.runtime import Runtime


@dataclass(frozen=True, slots=True)
class Cell:
    """One wave in a flow's strip."""

    wave: str  # its id
    date: str
    verdict: str  # open, good, flawed or bad
    text: str  # in words
    bad: int = 0  # percent of it to show as failed, where some did: what is there at all is seen


@dataclass(frozen=True, slots=True)
class Row:
    """One flow in one version."""

    version: str
    flow: str
    state: str | None  # name of the state that it runs over, where the flow is known here
    schedule: str | None
    cells: Sequence[Cell]  # the oldest first
    late: float  # seconds
    next: datetime | None  # when the next wave is due
    covers: Sequence[Covered]  # of its pipes that hold forecasts


@dataclass(frozen=True, slots=True)
class Overview:
    """All of it."""

    observed: Observed
    rows: Sequence[Row]
    alerts: Sequence[Alert]
    queues: Sequence[tuple[Backlog, int]]  # with the slots that work on each


def overview(runtime: Runtime, flows: Mapping[str, Flow], covers: Sequence[Covered] = ()) -> Overview:
    """Look at everything."""
    observed = observe(runtime, flows.values())
    closed: dict[str, Mapping[str, Mapping[str, int]]] = {}
    rows, covered = [], by_flow(covers)
    for standing in observed.standings:
        counts = _counts(runtime, standing)
        its = covered.get((standing.version, standing.flow), ())
        rows.append(_row(standing, counts, flows, observed, runtime, its))
        newest = next((d for d, info in standing.waves.items() if info.state == "closed"), None)
        if newest:
            closed[_id(standing, newest)] = counts[newest]
    found = alerts(observed, closed, Bounds.from_env(os.environ), covers, lately(runtime, observed))
    queues = [(backlog, observed.slots(name)) for name, backlog in observed.queues.items()]
    return Overview(observed, rows, found, queues)


def _id(standing: Standing, date: str) -> str:
    return f"{standing.version}/{standing.flow} {date}"


def _counts(runtime: Runtime, standing: Standing) -> dict[str, Mapping[str, Mapping[str, int]]]:
    """Return date -> task -> status -> entities."""
    ids = {date: _id(standing, date) for date in standing.waves}
    found = runtime.records.counts_of(list(ids.values()))
    return {
        date: {task: in_words(counts) for task, counts in found[wave_id].items()}
        for date, wave_id in ids.items()
    }


def _row(
    standing: Standing,
    counts: Mapping[str, Mapping[str, Mapping[str, int]]],
    flows: Mapping[str, Flow],
    observed: Observed,
    runtime: Runtime,
    covers: Sequence[Covered],
) -> Row:
    own = standing.version == (runtime.settings.version or "main")
    flow = flows.get(standing.flow) if own else None
    cells = [_cell(standing, date, info, counts[date]) for date, info in standing.waves.items()]
    schedule = flow.schedule if flow else None
    coming = Cron.parse(schedule).next(observed.now) if schedule else None
    state = flow.state.name if flow and flow.state else None
    return Row(standing.version, standing.flow, state, schedule, cells[::-1], standing.late, coming, covers)


def _cell(standing: Standing, date: str, info: WaveInfo, tasks: Mapping[str, Mapping[str, int]]) -> Cell:
    total: dict[str, int] = {}
    for statuses in tasks.values():
        for kind, n in by_kind(statuses).items():
            total[kind] = total.get(kind, 0) + n
    how = verdict(info.state, info.reason, list(total.items()))
    numbers = ", ".join(f"{n:,} {kind}" for kind, n in total.items())
    took = "" if info.ended is None else f" after {info.ended - info.submitted:.1f} s"
    return Cell(
        _id(standing, date),
        date,
        how,
        f"{date}: {info.reason or info.state}{took}; {numbers or 'no entities'}",
        _bad(total),
    )


def _bad(kinds: Mapping[str, int]) -> int:
    """Return the percentage that did not finish, of 20 at least and 80 at most: no part of a small cell vanishes."""
    share = (kinds.get("failed", 0) + kinds.get("skipped", 0)) / max(sum(kinds.values()), 1)
    return round(20 + 60 * share)
