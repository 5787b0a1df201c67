"""Alerts: what somebody should look at now, by bounds in the settings; shown by the dashboard, sent by `wave alert`.

They need no Prometheus; `docker/prometheus/rules.yml` holds the same for those who have one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Self

from pipeline.environment import read, seconds, setting, share, size
from pipeline.flows.pipe import stamp
from pipeline.monitoring.cover import Covered
from pipeline.monitoring.observe import Observed, Standing
from pipeline.waves.presence import wrong_clocks

CRITICAL, WARNING = "critical", "warning"


def _hours(value: str, name: str) -> float:
    return seconds(value, name) / 3600


@dataclass(frozen=True, slots=True)
class Bounds:
    """From when on something is worth an alert."""

    late: float = setting("PIPELINE_ALERT_LATE", 900.0, "from when a wave was due to its good end", seconds)
    failed: float = setting("PIPELINE_ALERT_FAILED", 0.05, "share of a task's entities, newest wave", share)
    cover: float = setting("PIPELINE_ALERT_COVER", 6.0, "hours until the worst 5 % of forecasts end", _hours)
    incidents: int = setting("PIPELINE_ALERT_INCIDENTS", 5, "lost, hung or late runs in 15 min", size)
    memory: float = setting("PIPELINE_ALERT_MEMORY", 0.85, "share of what a Redis may take", share)

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Self:
        """Read the environment. Raises SettingsError, which names the variable."""
        return read(cls, environ)


@dataclass(frozen=True, slots=True)
class Alert:
    """One thing to look at."""

    level: str  # critical or warning
    # late, failed, entities, incidents, untaken, memory, keeper, cover, clock, schedule, unreadable or redis
    what: str
    about: str  # a flow, a task of one, a queue, a machine or a server
    text: str  # what is wrong, and what to do


def alerts(
    observed: Observed,
    counts: Mapping[str, Mapping[str, Mapping[str, int]]],
    bounds: Bounds,
    covers: Iterable[Covered] = (),
    incidents: Mapping[str, Mapping[str, int]] | None = None,
) -> list[Alert]:
    """Return what is wrong, the critical first.

    counts      id of the newest ended wave of a flow -> task -> status as it is written -> entities
    covers      how long the forecasts of flows last, as `cover.Covers` knows it
    incidents   wave -> kind -> how many there were lately
    """
    found = [
        *(alert for standing in observed.standings for alert in _late(standing, observed.now, bounds)),
        *(alert for wave_id, tasks in counts.items() for alert in _failed(wave_id, tasks, bounds)),
        *(alert for covered in covers for alert in _uncovered(covered, bounds)),
        *_rising(incidents or {}, bounds),
        *_left_out(observed),
        *_clocks(observed),
        *_untaken(observed),
        *_memory(observed, bounds),
        *_unreadable(observed),
    ]
    if observed.deadlines and not observed.processes:
        found.append(
            Alert(
                CRITICAL,
                "keeper",
                "deadlines",
                "no worker and no beat is there: waves will not end. Start one.",
            )
        )
    return sorted(found, key=lambda alert: alert.level)


def _late(standing: Standing, now: datetime, bounds: Bounds) -> Iterator[Alert]:
    if standing.late > bounds.late:
        name = standing.name
        newest = f"the newest good one is {standing.newest}" if standing.newest else "none has ended well yet"
        started = next((date for date in standing.waves if date <= stamp(now) + "~"), None)
        why = f"`wave show {name} {started}` tells why."
        if standing.unstarted or started is None:
            why = f"The wave of {standing.unstarted} has not started: `wave doctor` tells what is missing."
        yield Alert(CRITICAL, "late", name, f"{name} is late by {_minutes(standing.late)}: {newest}. {why}")


def _failed(wave_id: str, tasks: Mapping[str, Mapping[str, int]], bounds: Bounds) -> Iterator[Alert]:
    for task, statuses in tasks.items():
        total = sum(statuses.values())
        bad = sum(n for status, n in statuses.items() if status.startswith("failed"))
        if total and bad / total > bounds.failed:
            yield Alert(
                WARNING,
                "failed",
                f"{wave_id.split(' ')[0]} {task}",  # not the wave: the next one may fail as this one did
                f"{bad:,} of {total:,} entities of {task} failed in {wave_id}. `wave show {wave_id}` tells why.",
            )


def _uncovered(found: Covered, bounds: Bounds) -> Iterator[Alert]:
    if found.p5 < bounds.cover:
        name = f"{found.version}/{found.flow}"
        last = f"last for {found.p5} h more at most" if found.p5 else "have run out"
        yield Alert(
            WARNING if found.p5 else CRITICAL,
            "cover",
            f"{name} {found.pipe}",
            f"{name}: the forecasts {found.pipe} of one entity in twenty {last}. `wave forecast {found.pipe} --cover "
            f"--version {found.version}` names those with the least.",
        )


def _rising(incidents: Mapping[str, Mapping[str, int]], bounds: Bounds) -> Iterator[Alert]:
    flows: dict[str, list[str]] = {}
    for wave_id in incidents:
        flows.setdefault(wave_id.split(" ")[0], []).append(wave_id)
    for name, waves in flows.items():
        kinds = sum((Counter(incidents[wave_id]) for wave_id in waves), Counter[str]())
        if kinds.total() > bounds.incidents:
            which = ", ".join(f"{n:,} {kind}" for kind, n in kinds.most_common())
            most = max(waves, key=lambda wave_id: sum(incidents[wave_id].values()))
            yield Alert(
                WARNING,
                "incidents",
                name,
                f"{kinds.total():,} runs of {name} went otherwise than they should within 15 minutes: {which}. They "
                f"are run again by themselves. `wave show {most}` tells of each why.",
            )


def _clocks(observed: Observed) -> Iterator[Alert]:
    for host, wrong in wrong_clocks(observed.processes).items():
        yield Alert(
            WARNING,
            "clock",
            host,
            f"the clock of {wrong}. Let NTP set it: waves follow Redis' clock alone, but AWS refuses the requests of "
            "a machine whose clock is minutes off.",
        )
    for standing in observed.standings:
        if standing.ahead:
            yield Alert(
                WARNING,
                "schedule",
                standing.name,
                f"{standing.name} is marked as started for {standing.ahead}, an hour to come: a beat with a wrong "
                "clock did that. It stops nothing, and goes when beat starts the next wave of it.",
            )


def _left_out(observed: Observed) -> Iterator[Alert]:
    for wave_id, left in observed.left_out.items():
        first, *more = left.reasons.items()
        others = f", and {left.count - 1:,} more" if more else ""
        yield Alert(
            WARNING,
            "entities",
            wave_id.split(" ")[0],
            f"{wave_id} goes on without {first[0]}{others}: {first[1].rstrip('.')}. `wave show {wave_id}` names "
            "who was left out, and why.",
        )


def _untaken(observed: Observed) -> Iterator[Alert]:
    for name, backlog in observed.queues.items():
        if backlog.queued and not observed.slots(name):
            yield Alert(
                CRITICAL,
                "untaken",
                name,
                f"{backlog.queued:,} messages wait in {name} and no worker takes from it. Start one with -Q {name}.",
            )


def _memory(observed: Observed, bounds: Bounds) -> Iterator[Alert]:
    for server, info in observed.redis.items():
        used, limit = int(info.get("used_memory", 0)), int(info.get("maxmemory", 0))
        if limit and used / limit > bounds.memory:
            yield Alert(
                CRITICAL,
                "memory",
                server,
                f"Redis ({server}) uses {used / limit:.0%} of its memory; when it is full, waves stop. "
                "Raise maxmemory, or shorten ttls.",
            )


def _unreadable(observed: Observed) -> Iterator[Alert]:
    if observed.unreadable:
        yield Alert(
            WARNING,
            "unreadable",
            "records",
            f"{len(observed.unreadable):,} records or messages could not be read and were set aside; the newest: "
            f"{observed.unreadable[0]} `wave doctor` names more.",
        )


def _minutes(seconds: float) -> str:
    return f"{seconds / 3600:.1f} h" if seconds >= 5400 else f"{seconds / 60:.0f} min"
