"""Metrics for Prometheus, read from Redis whenever somebody asks: right with any number of processes.

All names begin with `waves_`, also those that the API adds (`pipeline.web.metrics`). Labels are bounded: versions,
flows, tasks, queues, statuses and reasons, never entities, dates or shards; flows beyond the limit are left out and
counted. Needs the extra: pip install 'celery-waves[web]'.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector
from redis.exceptions import RedisError

from pipeline.extensions import installed
from pipeline.flows.flow import Flow
from pipeline.gate.flow_totals import Histogram, Totals, read_totals
from pipeline.gate.incidents import KINDS
from pipeline.monitoring.observe import Observed, observe, outcomes
from pipeline.telemetry.logs import get_logger
from pipeline.waves.presence import REFUSED
from pipeline.waves.runtime import Runtime

log = get_logger("pipeline.metrics")

FLOWS_SHOWN = 200  # flows in versions; a deployment per branch makes new ones for ever
GROUP = "pipeline.metrics"  # entry points of other packages: functions (runtime, flows) -> metrics
FLOW = ("version", "flow")


class More(Protocol):
    """What another package adds."""

    def __call__(self, runtime: Runtime, flows: Sequence[Flow]) -> Iterable[Metric]:
        """Give more metrics."""


class WaveCollector(Collector):
    """Everything that Redis tells, as metrics."""

    def __init__(
        self, runtime: Runtime, flows: Iterable[Flow] = (), more: Sequence[More] | None = None
    ) -> None:
        """Take the flows whose schedules are known, and what adds metrics; by default what is installed."""
        self._runtime, self._flows = runtime, tuple(flows)
        self._more = installed(GROUP) if more is None else more

    def collect(self) -> Iterator[Metric]:
        """Give all metrics; where Redis does not answer only `waves_up`, which is 0 then."""
        up = GaugeMetricFamily("waves_up", "Whether Redis answers.")
        try:
            metrics = list(self._all())
        except (RedisError, OSError) as error:
            log.warning("redis does not answer; there are no metrics", error=str(error))
            up.add_metric((), 0)
        else:
            up.add_metric((), 1)
            yield from metrics
        yield up

    def describe(self) -> Iterator[Metric]:
        """Give none: Redis is not asked before somebody wants to know."""
        return iter(())

    def _all(self) -> Iterator[Metric]:
        totals = read_totals(self._runtime.client)
        yield from _sums(totals[:FLOWS_SHOWN])
        left = GaugeMetricFamily("waves_flows_left_out", f"Flows in versions beyond the first {FLOWS_SHOWN}.")
        left.add_metric((), max(len(totals) - FLOWS_SHOWN, 0))
        yield left
        observed = observe(self._runtime, self._flows)
        yield from _flows(observed)
        yield _newest(outcomes(self._runtime, observed))
        yield from _queues(observed)
        yield from _servers(observed)
        client: Any = self._runtime.client
        refused = CounterMetricFamily(
            "waves_refused_messages", "Messages that are no JSON.", labels=("kind",)
        )
        for kind, n in client.hgetall(REFUSED).items():
            refused.add_metric((kind.decode(),), int(n))
        yield refused
        if price := self._runtime.settings.price:
            yield GaugeMetricFamily("waves_price_slot_hour", "Price of an hour of one slot.", value=price)
        for add in self._more:
            yield from add(self._runtime, self._flows)


def registry(runtime: Runtime, flows: Iterable[Flow] = ()) -> CollectorRegistry:
    """Make a registry that holds these metrics alone."""
    made = CollectorRegistry()
    made.register(WaveCollector(runtime, flows))
    return made


def _sums(totals: Sequence[Totals]) -> Iterator[Metric]:
    """What became of all waves."""
    tasks = CounterMetricFamily(
        "waves_entity_tasks",
        "Entities of tasks of ended waves, by how they ended.",
        labels=(*FLOW, "task", "status", "reason"),
    )
    marked = CounterMetricFamily(
        "waves_entity_tasks_marked",
        "Entities of tasks that ended late or degraded.",
        labels=(*FLOW, "task", "mark"),
    )
    work = CounterMetricFamily("waves_work_seconds", "Seconds of work of tasks.", labels=(*FLOW, "task"))
    waves = CounterMetricFamily(
        "waves_ended", "Waves that ended, by why.", labels=(*FLOW, "reason", "backfill")
    )
    incidents = CounterMetricFamily(
        "waves_incidents", "Runs that were lost, late, hung, ... ", labels=(*FLOW, "kind")
    )
    took = HistogramMetricFamily("waves_wave_seconds", "Duration of waves, without backfills.", labels=FLOW)
    runs = HistogramMetricFamily("waves_run_seconds", "Duration of runs of a shard.", labels=(*FLOW, "task"))
    for found in totals:
        name = (found.version, found.flow)
        for outcome, n in (_none_yet(found) | dict(found.entities)).items():
            tasks.add_metric((*name, *outcome), n)
        for mark, n in found.marks.items():
            marked.add_metric((*name, *mark), n)
        for task, seconds in found.work.items():
            work.add_metric((*name, task), seconds)
        for (reason, backfill), n in found.waves.items():
            waves.add_metric((*name, reason, str(backfill).lower()), n)
        for kind, n in (dict.fromkeys(KINDS, 0) | dict(found.incidents)).items():
            incidents.add_metric((*name, kind), n)
        _add(took, name, found.took)
        for task, histogram in found.runs.items():
            _add(runs, (*name, task), histogram)
    yield from (tasks, marked, work, waves, incidents, took, runs)


def _none_yet(found: Totals) -> dict[tuple[str, str, str], int]:
    """Give a zero for what may come: a counter that begins at its first value shows no increase."""
    outcomes = (("finished", ""), ("failed", "error"), ("skipped", "missing input"))
    return {(task, *outcome): 0 for task in found.work for outcome in outcomes}


def _add(family: HistogramMetricFamily, labels: Sequence[str], histogram: Histogram) -> None:
    buckets = [("+Inf" if bound == float("inf") else str(bound), n) for bound, n in histogram.cumulated()]
    family.add_metric(labels, buckets, histogram.total)


def _flows(observed: Observed) -> Iterator[Metric]:
    """How the waves of each flow stand."""
    late = GaugeMetricFamily(
        "waves_late_seconds",
        "Seconds since a wave was due that has not ended well; 0 where all is.",
        labels=FLOW,
    )
    opened = GaugeMetricFamily("waves_open", "Waves that have not ended.", labels=FLOW)
    age = GaugeMetricFamily(
        "waves_newest_age_seconds", "Seconds since the end of the newest wave that ended well.", labels=FLOW
    )
    for standing in observed.standings[:FLOWS_SHOWN]:
        name = (standing.version, standing.flow)
        opened.add_metric(name, standing.open)
        if standing.due is not None:
            late.add_metric(name, standing.late)
        ended = standing.waves[standing.newest].ended if standing.newest else None
        if ended is not None:
            age.add_metric(name, observed.now.timestamp() - ended)
    yield from (late, opened, age)


def _newest(waves: Mapping[str, Mapping[str, Mapping[str, int]]]) -> Metric:
    """What became of the newest ended wave of each flow: what alerts judge, with no wave's end in between."""
    newest = GaugeMetricFamily(
        "waves_newest_entities",
        "Entities of tasks of the newest ended wave, by status.",
        labels=(*FLOW, "task", "status"),
    )
    for wave_id, tasks in list(waves.items())[:FLOWS_SHOWN]:
        version, _, flow = wave_id.split(" ")[0].rpartition("/")
        for task, statuses in tasks.items():
            for status in ("finished", "failed", "skipped"):
                n = sum(n for text, n in statuses.items() if text.startswith(status))
                newest.add_metric((version, flow, task, status), n)
    return newest


def _queues(observed: Observed) -> Iterator[Metric]:
    """What lies before the workers."""
    queued = GaugeMetricFamily(
        "waves_queue_messages",
        "Messages of any priority, queued or taken and not ended.",
        labels=("queue", "state"),
    )
    seconds = GaugeMetricFamily(
        "waves_backlog_seconds", "Work in a queue and in flight, in seconds of one slot.", labels=("queue",)
    )
    slots = GaugeMetricFamily(
        "waves_queue_slots", "Units that the workers of a queue run at a time.", labels=("queue",)
    )
    for name, backlog in observed.queues.items():
        queued.add_metric((name, "queued"), backlog.queued)
        queued.add_metric((name, "in_flight"), backlog.in_flight)
        seconds.add_metric((name,), backlog.seconds)
        slots.add_metric((name,), observed.slots(name))
    kinds: dict[tuple[str, str], int] = {}
    for process in observed.processes:
        key = (process.version, process.kind)
        kinds[key] = kinds.get(key, 0) + 1
    there = GaugeMetricFamily("waves_processes", "Workers, beats and keepers.", labels=("version", "kind"))
    for (version, kind), n in kinds.items():
        there.add_metric((version, kind), n)
    deadlines = GaugeMetricFamily("waves_deadlines", "Units and waves that keepers look after.")
    deadlines.add_metric((), observed.deadlines)
    yield from (queued, seconds, slots, there, deadlines)


def _servers(observed: Observed) -> Iterator[Metric]:
    """How full Redis is."""
    used = GaugeMetricFamily("waves_redis_memory_bytes", "Memory in use.", labels=("server",))
    limit = GaugeMetricFamily("waves_redis_memory_limit_bytes", "maxmemory; 0 for none.", labels=("server",))
    keys = GaugeMetricFamily("waves_redis_keys", "Keys of all databases.", labels=("server",))
    for server, info in observed.redis.items():
        used.add_metric((server,), int(info.get("used_memory", 0)))
        limit.add_metric((server,), int(info.get("maxmemory", 0)))
        found = [value for name, value in info.items() if name.startswith("db") and isinstance(value, dict)]
        keys.add_metric((server,), sum(int(value.get("keys", 0)) for value in found))
    stores = [info for server, info in observed.redis.items() if server.startswith("store")]
    memory = sum(int(info.get("used_memory", 0)) for info in stores or observed.redis.values())
    yield GaugeMetricFamily(
        "waves_store_memory_bytes", "Memory of the pipe store, be it in the control Redis too.", value=memory
    )
    yield from (used, limit, keys)
