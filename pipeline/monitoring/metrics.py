"""Metrics for Prometheus, read from Redis whenever somebody asks: right with any number of processes.

All names begin with `waves_`, also those that the API adds (`pipeline.web.metrics`). Labels are bounded: versions,
flows, tasks, queues, statuses and reasons, never entities, dates or shards; flows beyond the limit are left out and
counted. Needs the extra: pip install 'celery-waves[web]'.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector
from redis.exceptions import RedisError

from pipeline.clock import SKEW
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
        """Return the metrics that it adds."""


class WaveCollector(Collector):
    """Everything that Redis tells, as metrics."""

    def __init__(
        self, runtime: Runtime, flows: Iterable[Flow] = (), more: Sequence[More] | None = None
    ) -> None:
        """Take the flows whose schedules are known, and what adds metrics; by default what is installed."""
        self._runtime, self._flows = runtime, tuple(flows)
        self._more = installed(GROUP) if more is None else more

    def collect(self) -> Iterator[Metric]:
        """Yield all metrics; where Redis does not answer only `waves_up`, which is 0 then."""
        metrics, up = [], 0
        try:
            metrics, up = list(self._all()), 1
        except (RedisError, OSError) as error:
            log.warning("redis does not answer; there are no metrics", error=str(error))
        yield from metrics
        yield gauge("waves_up", "Whether Redis answers.", (), [(up,)])

    def describe(self) -> Iterator[Metric]:
        """Describe nothing: Redis is not asked before somebody wants to know."""
        return iter(())

    def _all(self) -> Iterator[Metric]:
        totals = read_totals(self._runtime.client)
        yield from _sums(totals[:FLOWS_SHOWN])
        left, text = max(len(totals) - FLOWS_SHOWN, 0), f"Flows in versions beyond the first {FLOWS_SHOWN}."
        yield gauge("waves_flows_left_out", text, (), [(left,)])
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
            yield gauge("waves_price_slot_hour", "Price of an hour of one slot.", (), [(price,)])
        for add in self._more:
            yield from add(self._runtime, self._flows)


def _sums(totals: Sequence[Totals]) -> Iterator[Metric]:
    """Return what became of all waves."""
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
    """Return a zero for what may come: a counter that begins at its first value shows no increase."""
    outcomes = (("finished", ""), ("failed", "error"), ("skipped", "missing input"))
    return {(task, *outcome): 0 for task in found.work for outcome in outcomes}


def _add(family: HistogramMetricFamily, labels: Sequence[str], histogram: Histogram) -> None:
    buckets = [("+Inf" if bound == float("inf") else str(bound), n) for bound, n in histogram.cumulated()]
    family.add_metric(labels, buckets, histogram.total)


def gauge(name: str, text: str, labels: Sequence[str], values: Iterable[tuple[Any, ...]]) -> Metric:
    """Build a gauge of rows that hold the labels' values and then the number."""
    family = GaugeMetricFamily(name, text, labels=labels)
    for *of, value in values:
        family.add_metric(of, value)
    return family


def _flows(observed: Observed) -> Iterator[Metric]:
    """Return how the waves of each flow stand."""
    found = [((one.version, one.flow), one) for one in observed.standings[:FLOWS_SHOWN]]
    now = observed.now.timestamp()
    ended = [(name, one.waves[one.newest].ended if one.newest else None) for name, one in found]
    text = "Seconds since a wave was due that has not ended well; 0 where all is."
    late = [(*name, one.late) for name, one in found if one.due is not None]
    yield gauge("waves_late_seconds", text, FLOW, late)
    text, opened = "Waves that have not ended.", [(*name, one.open) for name, one in found]
    yield gauge("waves_open", text, FLOW, opened)
    text = "Seconds since the end of the newest wave that ended well."
    yield gauge("waves_newest_age_seconds", text, FLOW, [(*n, now - at) for n, at in ended if at is not None])
    text, left = (
        "Entities that the newest wave goes on without.",
        {
            tuple(wave_id.split(" ")[0].rsplit("/", 1)): its.count
            for wave_id, its in observed.left_out.items()
        },
    )
    yield gauge("waves_left_out", text, FLOW, [(*name, left.get(name, 0)) for name, _ in found])


def _newest(waves: Mapping[str, Mapping[str, Mapping[str, int]]]) -> Metric:
    """Return what became of the newest ended wave of each flow: what alerts judge, with no wave's end in between."""
    rows = []
    for wave_id, tasks in list(waves.items())[:FLOWS_SHOWN]:
        version, _, flow = wave_id.split(" ")[0].rpartition("/")
        for task, statuses in tasks.items():
            for status in ("finished", "failed", "skipped"):
                n = sum(n for text, n in statuses.items() if text.startswith(status))
                rows.append((version, flow, task, status, n))
    text = "Entities of tasks of the newest ended wave, by status."
    return gauge("waves_newest_entities", text, (*FLOW, "task", "status"), rows)


def _queues(observed: Observed) -> Iterator[Metric]:
    """Return what lies before the workers."""
    queues, queue = observed.queues.items(), ("queue",)
    messages = [
        (name, state, n)
        for name, each in queues
        for state, n in (("queued", each.queued), ("in_flight", each.in_flight))
    ]
    text = "Messages of any priority, queued or taken and not ended."
    yield gauge("waves_queue_messages", text, ("queue", "state"), messages)
    text = "Work in a queue and in flight, in seconds of one slot."
    yield gauge("waves_backlog_seconds", text, queue, [(name, each.seconds) for name, each in queues])
    text = "Units that the workers of a queue run at a time."
    yield gauge("waves_queue_slots", text, queue, [(name, observed.slots(name)) for name, _ in queues])
    kinds = Counter((process.version, process.kind) for process in observed.processes)
    there, text = [(*key, n) for key, n in kinds.items()], "Workers, beats and keepers."
    yield gauge("waves_processes", text, ("version", "kind"), there)
    skew = max((abs(process.skew) for process in observed.processes), default=0.0)
    text = f"The most that the clock of a worker or beat differs from Redis', where that is over {SKEW:g} s."
    yield gauge("waves_clock_skew_seconds", text, (), [(skew,)])
    yield gauge("waves_deadlines", "Units and waves that keepers look after.", (), [(observed.deadlines,)])


def _servers(observed: Observed) -> Iterator[Metric]:
    """Return how full Redis is."""
    servers, server = observed.redis.items(), ("server",)
    for name, text, key in (
        ("waves_redis_memory_bytes", "Memory in use.", "used_memory"),
        ("waves_redis_memory_limit_bytes", "maxmemory; 0 for none.", "maxmemory"),
    ):
        yield gauge(name, text, server, [(of, int(info.get(key, 0))) for of, info in servers])
    yield gauge(
        "waves_redis_keys", "Keys of all databases.", server, [(of, _keys(info)) for of, info in servers]
    )
    stores = [info for of, info in servers if of.startswith("store")] or observed.redis.values()
    memory = sum(int(info.get("used_memory", 0)) for info in stores)
    text = "Memory of the pipe store, be it in the control Redis too."
    yield gauge("waves_store_memory_bytes", text, (), [(memory,)])


def _keys(info: Mapping[str, Any]) -> int:
    found = [value for name, value in info.items() if name.startswith("db") and isinstance(value, dict)]
    return sum(int(value.get("keys", 0)) for value in found)
