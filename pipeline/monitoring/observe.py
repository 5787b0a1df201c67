"""How a deployment stands now: its flows, queues, workers and Redis; what metrics, alerts and the dashboard show.

All of it is read from Redis, so that it is the same whoever asks, with any number of processes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from pipeline.flows.cron import Cron
from pipeline.flows.flow import Flow
from pipeline.flows.left_out import LeftOut
from pipeline.flows.pipe import stamp
from pipeline.flows.task import COLLECT, COMPUTE, CONTROL, SOLO
from pipeline.forms import named_unreadable
from pipeline.gate.keys import DEADLINES
from pipeline.gate.records import WaveInfo, name_of
from pipeline.monitoring.backlog import Backlog, backlogs
from pipeline.waves.first_seen import first_seen
from pipeline.waves.presence import WORKER, Process, present
from pipeline.waves.progress import in_words
from pipeline.waves.runtime import Runtime

Named = tuple[str, str]  # version, flow

LOOKED_AT = 12  # of a flow's waves, the newest
HOURS = 13  # characters of an hour in a wave's id, which a digest may follow
LATELY = 900.0  # seconds over which incidents are counted


@dataclass(frozen=True, slots=True)
class Standing:
    """How the waves of one flow in one version stand."""

    version: str
    flow: str
    # the newest, newest first, no backfills: date (and digest) -> how it stands
    waves: Mapping[str, WaveInfo]
    due: datetime | None = None  # when the newest wave was due by the schedule; None without one
    late: float = 0.0  # seconds since a wave was due that has not ended well; 0 when the newest has
    unstarted: str | None = None  # the date of the wave that was due last, where that has not started
    seen: float = 0.0  # when the flow was first seen, in seconds since the epoch
    ahead: str | None = None  # the hour to come that is marked as started, by a beat whose clock was wrong

    @property
    def name(self) -> str:
        """How commands name its newest wave."""
        return f"{self.version}/{self.flow}"

    @property
    def open(self) -> int:
        """How many of them have not ended."""
        return sum(info.state != "closed" for info in self.waves.values())

    @property
    def newest(self) -> str | None:
        """The date of the newest wave that ended with nothing left open."""
        return next((date for date, info in self.waves.items() if info.reason == "done"), None)

    @property
    def ended(self) -> str | None:
        """The id of the newest wave that has ended, however it did."""
        date = next((date for date, info in self.waves.items() if info.state == "closed"), None)
        return None if date is None else f"{self.version}/{self.flow} {date}"


@dataclass(frozen=True, slots=True)
class Observed:
    """How all of it stands at a time."""

    now: datetime  # by Redis' clock
    standings: Sequence[Standing]  # by version and flow
    queues: Mapping[str, Backlog]  # by full name
    processes: Sequence[Process]
    deadlines: int  # units and waves that somebody must look at, at some time
    redis: Mapping[str, Mapping[str, Any]]  # INFO of the control Redis and of the store's servers, by role
    unreadable: Sequence[str] = ()  # what could not be read within the last day, and why
    # of the newest wave of each flow that goes on without some: its id -> who was left out
    left_out: Mapping[str, LeftOut] = field(default_factory=dict)

    def slots(self, queue: str) -> int:
        """Return how many units the workers of a queue run at a time."""
        return sum(p.slots for p in self.processes if p.kind == WORKER and queue in p.queues)


def observe(runtime: Runtime, flows: Iterable[Flow] = ()) -> Observed:
    """Look at everything. `flows` are those whose schedules are known here, in the runtime's version.

    Raises redis' own errors where it does not answer.
    """
    client: Any = runtime.client
    seconds, micros = client.time()
    now = datetime.fromtimestamp(seconds + micros / 1e6, UTC)
    processes = present(client)
    version = runtime.settings.version or "main"
    stand = standings(runtime, version, tuple(flows), now)
    newest = [f"{one.version}/{one.flow} {date}" for one in stand for date in list(one.waves)[:1]]
    left = runtime.records.left_out_of(newest)
    return Observed(
        now,
        stand,
        backlogs(runtime, _queues(version, processes)),
        processes,
        client.zcard(DEADLINES),
        _servers(runtime),
        named_unreadable(client),
        {wave_id: found for wave_id, found in left.items() if found},
    )


def outcomes(runtime: Runtime, observed: Observed) -> dict[str, dict[str, dict[str, int]]]:
    """Return what became of the newest ended wave of each flow: its id -> task -> status as written -> entities."""
    ids = [standing.ended for standing in observed.standings if standing.ended]
    return {
        wave_id: {task: in_words(counts) for task, counts in tasks.items()}
        for wave_id, tasks in runtime.records.counts_of(ids).items()
    }


def lately(runtime: Runtime, observed: Observed, seconds: float = LATELY) -> dict[str, Counter[str]]:
    """Count what went otherwise than it should in the last while: wave -> kind of incident -> times."""
    since = observed.now.timestamp() - seconds
    waves = [
        f"{standing.name} {date}"
        for standing in observed.standings
        for date, info in standing.waves.items()
        if info.ended is None or info.ended >= since
    ]
    found = {
        wave_id: Counter(incident.kind for incident in incidents if incident.at >= since)
        for wave_id, incidents in runtime.records.incidents_of(waves).items()
    }
    return {wave_id: kinds for wave_id, kinds in found.items() if kinds}


def standings(runtime: Runtime, version: str, flows: Sequence[Flow], now: datetime) -> list[Standing]:
    """Return how each flow stands of which Redis holds a wave, or which has a schedule."""
    dates: dict[Named, list[tuple[str, str]]] = {(version, flow.name): [] for flow in flows if flow.schedule}
    others: dict[Named, list[tuple[str, str]]] = {}
    for wave_id in runtime.records.ids():
        at, flow, date = name_of(wave_id)
        # Waves of some entities or tasks only tell nothing of a flow that has others.
        (others if " " in date else dates).setdefault((at, flow), []).append((date, wave_id))
    dates |= {key: found for key, found in others.items() if not dates.get(key)}
    newest = {key: sorted(found, reverse=True)[: 2 * LOOKED_AT] for key, found in dates.items()}
    infos = runtime.records.infos([wave_id for found in newest.values() for _, wave_id in found])
    schedules = {(version, flow.name): Cron.parse(flow.schedule) for flow in flows if flow.schedule}
    waves = {
        key: {date: infos[i] for date, i in found if i in infos and not infos[i].backfill}
        for key, found in sorted(newest.items())
    }
    seen = first_seen(runtime.client, list(schedules), now.timestamp())
    marks = runtime.records.scheduled(list(schedules))
    return [
        _standing(key, found, schedules.get(key), now, seen.get(key, 0.0), marks.get(key, ""))
        for key, found in waves.items()
    ]


def _standing(
    key: Named, waves: Mapping[str, WaveInfo], cron: Cron | None, now: datetime, seen: float, mark: str
) -> Standing:
    shown = dict(list(waves.items())[:LOOKED_AT])
    if cron is None:
        return Standing(*key, shown)
    ahead = mark if mark > stamp(now) else None
    started = {date: info for date, info in waves.items() if date[:HOURS] <= stamp(now)}
    forgotten = "" if ahead or mark in started else mark  # nothing can be told of how that one ended
    well = next((date for date, info in started.items() if info.reason in ("done", "empty")), "")
    missed = _missed(cron, max(well, forgotten), now)
    known = min([seen, *(info.submitted for info in waves.values())])
    late = 0.0 if missed is None else max(now.timestamp() - max(missed.timestamp(), known), 0.0)
    due = cron.last(now)
    unstarted = None if stamp(due) <= max([forgotten, *started]) else stamp(due)
    return Standing(*key, shown, due, late, unstarted, known, ahead)


def _missed(cron: Cron, well: str, now: datetime) -> datetime | None:
    """Return when the first wave was due after the newest that ended well; None where none was."""
    due, missed = cron.last(now), None
    for _ in range(LOOKED_AT):
        if stamp(due) <= well:
            break
        missed = due
        if not well:
            break
        due = cron.last(due - timedelta(minutes=1))
    return missed


def _queues(version: str, processes: Sequence[Process]) -> list[str]:
    own = [f"{version}.{kind}" for kind in (CONTROL, COLLECT, COMPUTE, SOLO)]
    return sorted({*own, *(queue for process in processes for queue in process.queues)})


def _servers(runtime: Runtime) -> dict[str, Mapping[str, Any]]:
    client: Any = runtime.client
    found: dict[str, Mapping[str, Any]] = {"control": client.info()}
    stores = runtime.store_info()
    return found | {f"store {name}": info for name, info in stores.items()}
