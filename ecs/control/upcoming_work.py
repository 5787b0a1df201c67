"""What waves still have before them: those that are open, and those that their schedules will start soon.

At its submission a wave's work is known: its entities, times what its tasks cost in earlier waves. So the workers
that it needs can be asked for at once, before the later tasks of it are in any queue.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from ecs.control.policy import Work
from ecs.control.services import Service
from pipeline.flows.cron import Cron
from pipeline.flows.flow import Flow
from pipeline.flows.pipe import stamp
from pipeline.flows.plan import Plan, compile_flow
from pipeline.gate.records import WaveInfo
from pipeline.gate.wave_spec import WaveSpec
from pipeline.waves.runtime import Runtime
from pipeline.waves.task_costs import read_costs

NEWEST = 200  # waves that are looked at; older ones have ended, or their messages tell of them
LATE = 120.0  # seconds that a scheduled wave which has not started yet is still waited for


@dataclass(frozen=True, slots=True)
class Load:
    """A wave, or one that will come, as it concerns the queues."""

    wave: str
    due: float  # when it was submitted, or will be (seconds since the epoch)
    expires: float  # when it is closed, 0 for never
    seconds: Mapping[str, float]  # queue -> work of one slot that is left
    units: Mapping[str, int]  # queue -> units that are open
    path: float  # seconds that the longest row of its tasks takes at its largest shard

    def work(self, service: Service, now: float) -> Work:
        """Return what of it lies before a service."""
        end = self.due + service.goal
        if self.expires:
            end = min(end, self.expires)
        return Work(
            seconds=sum(self.seconds.get(queue, 0.0) for queue in service.queues),
            left=end - max(now, self.due),
            path=self.path,
            units=sum(self.units.get(queue, 0) for queue in service.queues),
            # New tasks for a wave that has begun are late by their start; one that is foreseen finds them there.
            startup=service.startup if self.due <= now else 0.0,
        )


def loads(runtime: Runtime, flows: Iterable[Flow], ahead: float, now: float) -> list[Load]:
    """Return what open waves still have to do, and what waves that are due within `ahead` seconds will have."""
    return [*open_loads(runtime), *coming_loads(runtime, flows, ahead, now)]


def open_loads(runtime: Runtime) -> list[Load]:
    """Return what the open waves of all versions still have to do."""
    records = runtime.records
    infos = records.infos(records.ids()[:NEWEST])
    open_ids = [wave_id for wave_id, info in infos.items() if info.state != "closed"]
    counts = records.counts_of(open_ids)
    found = []
    for wave_id in open_ids:
        spec = records.readable_spec(wave_id)
        if spec is not None:
            costs = _costs(runtime, spec.version, spec.flow)
            found.append(
                _open_load(spec, infos[wave_id], counts[wave_id], costs, runtime.settings.shard_seconds)
            )
    return found


def _open_load(
    spec: WaveSpec,
    info: WaveInfo,
    counts: Mapping[str, Mapping[str, int]],
    costs: Mapping[str, float],
    each: float,
) -> Load:
    seconds: dict[str, float] = {}
    units: dict[str, int] = {}
    for task in spec.plan.steps:
        size, places = spec.size_of(task), len(spec.units.places(task))
        done = sum(n for char, n in counts.get(task, {}).items() if char != "us")
        share = max(size - done, 0) / size if size else 0.0
        queue = spec.queue(task)
        # What was never measured is worth what messages are cut to.
        seconds[queue] = seconds.get(queue, 0.0) + share * (
            costs[task] * size if task in costs else each * places
        )
        units[queue] = units.get(queue, 0) + round(share * places + 0.499)
    path = _path(spec.plan, costs, max(spec.sizes, default=0), each)
    return Load(spec.id, info.submitted, info.expires if spec.expiry else 0.0, seconds, units, path)


def coming_loads(runtime: Runtime, flows: Iterable[Flow], ahead: float, now: float) -> list[Load]:
    """Return what the scheduled waves of this version will have that start within `ahead` seconds.

    One whose time has come and that has not started yet counts too, for a while.
    """
    version = runtime.settings.any_version()
    found = []
    for flow in flows:
        for due in _dues(flow, ahead, now):
            if (runtime.records.newest_scheduled(version, flow.name, due) or "") < stamp(due):
                load = _coming_load(runtime, flow, version, due)
                found += [load] if load is not None else []
    return found


def _dues(flow: Flow, ahead: float, now: float) -> Iterator[datetime]:
    """Yield when a flow is due: the last time if it was a moment ago, and the next one if it is near."""
    if flow.schedule is None:
        return
    cron, moment = Cron.parse(flow.schedule), datetime.fromtimestamp(now, UTC)
    last, coming = cron.last(moment), cron.next(moment)
    if moment - last <= timedelta(seconds=LATE):
        yield last
    if coming - moment <= timedelta(seconds=ahead):
        yield coming


def _coming_load(runtime: Runtime, flow: Flow, version: str, due: datetime) -> Load | None:
    """Return what a wave will have, by the last one of its flow, and by its state where that holds more entities."""
    records, each = runtime.records, runtime.settings.shard_seconds
    earlier = next(
        (s for i in records.ids(version, flow.name)[:5] if (s := records.readable_spec(i)) is not None), None
    )
    entities = len(runtime.states.bind(flow.state)) if flow.state is not None else 0
    entities = max(entities, earlier.entities if earlier is not None and not earlier.backfill else 0)
    if not entities:
        return None
    costs, plan = _costs(runtime, version, flow.name), compile_flow(flow)
    size = max(earlier.sizes) if earlier is not None and earlier.sizes else runtime.settings.shard_size
    shards = -(-entities // size)
    seconds: dict[str, float] = {}
    units: dict[str, int] = {}
    for step in plan.steps.values():
        queue, places = f"{version}.{step.queue}", shards if step.per is None else 1
        seconds[queue] = seconds.get(queue, 0.0) + (
            costs[step.name] * entities if step.name in costs and step.per is None else each * places
        )
        units[queue] = units.get(queue, 0) + places
    return Load(flow.name, due.timestamp(), 0.0, seconds, units, _path(plan, costs, size, each))


def _path(plan: Plan, costs: Mapping[str, float], size: int, each: float) -> float:
    """Return the seconds of the longest row of tasks at a shard of that size."""
    ends: dict[str, float] = {}
    for step in plan.steps.values():
        own = each if step.name not in costs else costs[step.name] * (size if step.per is None else 1)
        ends[step.name] = own + max((ends[i] for i in step.inputs), default=0.0)
    return max(ends.values(), default=0.0)


def _costs(runtime: Runtime, version: str, flow: str) -> Mapping[str, float]:
    return read_costs(runtime.client, version, flow)
