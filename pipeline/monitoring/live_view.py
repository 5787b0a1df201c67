"""A glance at a deployment: what runs now and how quickly. What `wave top` shows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.flows.flow import Flow
from pipeline.gate.flow_totals import Totals, read_totals
from pipeline.monitoring.observe import Named, Observed, Standing, observe
from pipeline.waves.presence import Process
from pipeline.waves.progress import Progress
from pipeline.waves.runtime import Runtime
from pipeline.waves.wave import Wave


@dataclass(frozen=True)
class Look:
    """How all stood at one time."""

    observed: Observed
    totals: Mapping[Named, Totals]
    waves: Mapping[Named, Progress]  # of each flow the newest wave


@dataclass(frozen=True, slots=True)
class Line:
    """One flow in one version."""

    standing: Standing
    newest: Progress | None  # its newest wave, None where Redis holds none
    rate: float  # entities of its tasks that ended, a second
    work: float  # slots that its tasks kept busy


def look(runtime: Runtime, flows: Iterable[Flow]) -> Look:
    """Look once."""
    observed = observe(runtime, flows)
    waves: dict[Named, Progress] = {}
    for standing in observed.standings:
        date = next(iter(standing.waves), None)
        name = f"{standing.version}/{standing.flow} {date}"
        if date is not None and runtime.records.readable_spec(name) is not None:
            waves[standing.version, standing.flow] = Wave.find(name, runtime).progress()
    totals = {(found.version, found.flow): found for found in read_totals(runtime.client)}
    return Look(observed, totals, waves)


def lines(before: Look, now: Look) -> list[Line]:
    """Return each flow with its rates between two looks, the busiest first. Pure."""
    seconds = max((now.observed.now - before.observed.now).total_seconds(), 1e-3)
    found = []
    for standing in now.observed.standings:
        name = (standing.version, standing.flow)
        was, its = before.totals.get(name), now.totals.get(name)
        rate = (_ended(its) - _ended(was)) / seconds
        work = (_work(its) - _work(was)) / seconds
        found.append(Line(standing, now.waves.get(name), rate, work))
    return sorted(found, key=lambda line: (not line.standing.open, -line.rate))


def _ended(totals: Totals | None) -> int:
    return sum(totals.entities.values()) if totals else 0


def _work(totals: Totals | None) -> float:
    return sum(totals.work.values()) if totals else 0.0


def grouped(processes: Sequence[Process]) -> dict[tuple[str, str, str], tuple[int, int]]:
    """Return (kind, version, queues) -> how many processes, and their slots."""
    found: dict[tuple[str, str, str], tuple[int, int]] = {}
    for process in processes:
        key = (process.kind, process.version, ", ".join(process.queues))
        count, slots = found.get(key, (0, 0))
        found[key] = (count + 1, slots + process.slots)
    return found


def as_json(observed: Observed, found: Sequence[Line]) -> dict[str, Any]:
    """Return all of it for JSON."""
    return {
        "at": observed.now.isoformat(),
        "flows": [
            {
                "version": line.standing.version,
                "flow": line.standing.flow,
                "open": line.standing.open,
                "late_seconds": round(line.standing.late, 1),
                "newest": line.newest and line.newest.wave,
                "state": line.newest and (line.newest.reason or line.newest.state),
                "ended": line.newest and line.newest.ended,
                "total": line.newest and line.newest.total,
                "per_second": round(line.rate, 1),
                "busy_slots": round(line.work, 2),
            }
            for line in found
        ],
        "queues": [
            {
                "queue": name,
                "queued": backlog.queued,
                "in_flight": backlog.in_flight,
                "backlog_seconds": round(backlog.seconds, 1),
                "slots": observed.slots(name),
            }
            for name, backlog in observed.queues.items()
        ],
        "processes": [
            {"kind": kind, "version": version, "queues": queues, "count": count, "slots": slots}
            for (kind, version, queues), (count, slots) in grouped(observed.processes).items()
        ],
        "redis": {
            server: {"used_memory": info.get("used_memory", 0), "maxmemory": info.get("maxmemory", 0)}
            for server, info in observed.redis.items()
        },
        "deadlines": observed.deadlines,
    }
