"""The control service's work: measure the queues, publish, and raise the services' counts ahead of the work.

Everything that it does is worked out from what Redis and ECS say now, so that it may be killed at any time and run more
than once. Of several, one leads, by a key in Redis that it holds; the others keep deadlines and wait.
"""

from __future__ import annotations

import random
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from ecs.control.policy import SlowDown, backlog_per_task, tasks_for_backlog, tasks_for_waves
from ecs.control.scaling import Aws, Counts, Metric, ServiceMissing
from ecs.control.services import Cluster, Service
from ecs.control.upcoming_work import Load, loads
from pipeline.flows.flow import Flow
from pipeline.monitoring.backlog import Backlog, backlogs
from pipeline.telemetry.logs import get_logger
from pipeline.waves.runtime import Runtime
from pipeline.workers.heartbeat import Heartbeat

log = get_logger("ecs.control")

LEADER = "ecs:control:{cluster}"  # text: who leads; lives for some rounds
ROUNDS = 3  # after which another leads when the leader is silent
LONGEST = 60.0  # seconds between two tries while something does not answer


@dataclass(frozen=True, slots=True)
class Decision:
    """What a round found for one service, and what it asks for."""

    service: str
    backlog: float  # seconds of one slot in its queues, waiting and in flight
    messages: int
    in_flight: int  # of them those that workers have
    planned: float  # seconds of waves' work that is in no queue yet, or will come with the next waves
    desired: int  # tasks, as ECS had it
    running: int
    wanted: int  # tasks that the work asks for now
    count: int  # tasks to have: what ECS is told if it differs from `desired`


def decide(
    service: Service,
    found: Mapping[str, Backlog],
    coming: Iterable[Load],
    counts: Counts,
    now: float,
    slow: Callable[[float, int, int], int],
) -> Decision:
    """Return how many tasks a service is to have."""
    backlog = sum(found[queue].seconds for queue in service.queues)
    messages = sum(found[queue].messages for queue in service.queues)
    all_works = [(load.due - now, load.work(service, now)) for load in coming]
    works = [work for wait, work in all_works if wait <= service.lead(work.slots())]
    wanted = max(
        tasks_for_backlog(backlog, messages, service.goal, service.bounds),
        tasks_for_waves(works, counts.desired, service.bounds),
    )
    lowered = slow(now, wanted, counts.desired) if service.scale_in else counts.desired
    return Decision(
        service.name,
        backlog,
        messages,
        sum(found[queue].in_flight for queue in service.queues),
        max(sum(work.seconds for work in works) - backlog, 0.0),
        counts.desired,
        counts.running,
        wanted,
        max(wanted, lowered),
    )


def metrics(cluster: Cluster, found: Mapping[str, Backlog], decisions: Iterable[Decision]) -> list[Metric]:
    """Write what is published: for each queue its backlog, for each service what a task of it has before it.

    What waves will need counts in `backlog_per_task`, and so do tasks that are starting: target tracking then neither
    takes away who was called ahead, nor calls more while they come.
    """
    where = {"Cluster": cluster.name}
    lines = [
        Metric("backlog_seconds", each.seconds, where | {"Queue": queue}, "Seconds")
        for queue, each in found.items()
    ]
    for one in decisions:
        own, total = where | {"Service": one.service}, one.backlog + one.planned
        lines += [
            Metric("backlog_seconds", one.backlog, own, "Seconds"),
            Metric("planned_seconds", one.planned, own, "Seconds"),
            Metric("in_flight", one.in_flight, own, "Count"),
            Metric("backlog_per_task", backlog_per_task(total, max(one.running, one.count)), own, "Seconds"),
            Metric("tasks_wanted", one.wanted, own, "Count"),
        ]
    return lines


class Controller:
    """Runs round after round."""

    def __init__(
        self,
        runtime: Runtime,
        cluster: Cluster,
        aws: Aws,
        flows: Iterable[Flow] = (),
        every: float = 10.0,
        heartbeat: Heartbeat | None = None,
        clock: Callable[[], float] | None = None,
    ) -> None:
        """Take the clients, the flows whose schedules are looked ahead at, and the seconds between two rounds.

        The heartbeat is given by the loop: it tells of a round that hangs, and not of an AWS that does not answer.
        The clock (seconds since the epoch) is Redis' own, unless a test wants another.
        """
        self._clock = clock or runtime.clock.time
        self._heartbeat = heartbeat
        self._runtime = runtime
        self._cluster = cluster
        self._aws = aws
        self._flows = tuple(flows)
        self._every = every
        self._key = LEADER.format(cluster=cluster.name)
        self._me = uuid.uuid4().hex
        self._slow = {service.name: SlowDown(service.hold) for service in cluster.services}
        self._stop = threading.Event()

    def stop(self) -> None:
        """End after the present round."""
        self._stop.set()

    def run(self, told: Callable[[list[Decision]], None] | None = None) -> None:
        """Run rounds until it is stopped; what does not answer is asked again, ever more rarely."""
        failures = 0
        while not self._stop.is_set():
            try:
                found = self.round()
                failures = 0
                if found is not None and told is not None:
                    told(found)
            except Exception as error:
                if not _passing(error):
                    log.exception("the control service met an error and goes on")
                else:
                    log.warning("no answer, trying again", error=f"{type(error).__name__}: {error}")
                failures += 1
            wait = (
                min(self._every * 2 ** min(failures, 6), max(LONGEST, self._every))
                if failures
                else self._every
            )
            self._wait(wait * (random.uniform(0.7, 1.0) if failures else 1.0))

    def _wait(self, seconds: float) -> None:
        """Wait until the next round, alive all the while."""
        until = time.monotonic() + seconds
        while not self._stop.is_set() and (left := until - time.monotonic()) > 0:
            if self._heartbeat is None:
                self._stop.wait(left)
            else:
                self._heartbeat.tell()
                self._stop.wait(min(left, self._heartbeat.every))

    def round(self) -> list[Decision] | None:
        """Measure, scale and publish once; None where another control leads."""
        if not self._lead():
            return None
        found, coming, now = self.measure()
        counts = self._aws.counts([service.name for service in self._cluster.services])
        decisions = [
            decide(s, found, coming, counts[s.name], now, self._slow[s.name]) for s in self._cluster.services
        ]
        try:
            self._scale(decisions)
        finally:  # whatever becomes of one service, the metrics tell of all
            self._aws.publish(metrics(self._cluster, found, decisions))
        return decisions

    def measure(self) -> tuple[dict[str, Backlog], list[Load], float]:
        """Return the queues, the waves that are open or near, and the time."""
        services = self._cluster.services
        queues = list(dict.fromkeys(queue for service in services for queue in service.queues))
        now = self._clock()
        ahead = max(service.lead(service.most * service.slots) for service in services)
        return backlogs(self._runtime, queues), loads(self._runtime, self._flows, ahead, now), now

    def _scale(self, decisions: Iterable[Decision]) -> None:
        """Send ECS each count that is to change; one that fails does not keep the others from it."""
        first: Exception | None = None
        for one in decisions:
            if one.count == one.desired:
                continue
            try:
                self._aws.set_desired(one.service, one.count)
                log.info("tasks", service=one.service, before=one.desired, now=one.count, backlog=one.backlog)
            except Exception as error:
                first = first or error
        if first is not None:
            raise first

    def _lead(self) -> bool:
        """Lead for some rounds where nobody else does; return whether this one leads.

        Two that lead for a moment, because one hung between its look and its call, ask for what the same Redis says.
        """
        client: Any = self._runtime.client
        lifetime = int(max(self._every * ROUNDS, 1.0) * 1000)
        if client.set(self._key, self._me, nx=True, px=lifetime):
            return True
        if client.get(self._key) != self._me.encode():
            return False
        client.pexpire(self._key, lifetime)
        return True

    def leave(self) -> None:
        """Let another lead at once."""
        client: Any = self._runtime.client
        if client.get(self._key) == self._me.encode():
            client.delete(self._key)


def _passing(error: Exception) -> bool:
    """Return whether it is an outage, or something that somebody else must put right, and no error of this code."""
    known: tuple[type[Exception], ...] = (RedisError, OSError, OperationalError, ServiceMissing)
    return isinstance(error, known) or type(error).__module__.startswith("botocore.")
