"""The flow that runs under faults. Its workers also put each tenth message into its queue twice."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from functools import cache
from typing import Any

from kombu.transport.redis import Channel
from redis import Redis
from redis.exceptions import RedisError

from pipeline import Flow, State, task
from tests.chaos.faults import POOLS, counters, misbehave, source, told

HANG, RAISE = 0.05, 0.02  # shares of the collection calls
TWICE = 0.1  # share of the messages
HANG_SECONDS = 60
COUNTERS = (
    "hangs",
    "raised",
    "doubled",
    *(f"{what}_{pool}" for what in ("exits", "holds") for pool in POOLS.values()),
)

shops = State("shops", partition_by="city", source=source)


@cache
def _redis(_pid: int) -> Redis:
    return counters(os.environ["REDIS_URL"])


def note(what: str) -> None:
    """Count a fault; one that is made while Redis is away is not counted."""
    with suppress(RedisError):
        _redis(os.getpid()).incr(what)


def call_a_source() -> float:
    """What a third party does now and then: hang, fail, or else answer; each answer is another one."""
    chance = random.SystemRandom().random()
    if chance < HANG:
        note("hangs")
        time.sleep(HANG_SECONDS)
    elif chance < HANG + RAISE:
        note("raised")
        raise ConnectionError("the source is down")
    time.sleep(0.01)
    return random.SystemRandom().random()


@task(time_limit="2s", concurrency=20)
def sales(entity: str) -> float:
    return call_a_source()


@task(time_limit="2s", concurrency=20)
def weather(entity: str) -> float:
    return call_a_source()


@task(time_limit="2s", concurrency=4, queue="threads")
def threaded(entity: str, date: datetime) -> float:
    misbehave("threaded", entity, date, note)
    return random.random()


@task(time_limit="2s")
def forked(entity: str, date: datetime) -> float:
    misbehave("forked", entity, date, note)
    return random.random()


@task(timeout="40s")
def either(threaded: float | None = None, forked: float | None = None) -> float:
    return (threaded or 0.0) + (forked or 0.0)


@task(timeout="30s")
def joined(sales: float, weather: float | None = None) -> list[float | None]:
    return [sales, weather, random.random()]


@task(batch=True, timeout="40s")
def scaled(joined: Mapping[str, list[float]]) -> dict[str, float]:
    return {key: value[0] + random.random() for key, value in joined.items()}


@task(per="partition", timeout="60s")
def level(scaled: Any) -> float:
    values = [value for chunk in scaled for value in chunk.values()]
    return sum(values) / max(len(values), 1)


@task(timeout="80s")
def final(scaled: float, level: float | None = None) -> float:
    return scaled - (level or 0.0)


flow = Flow("chaos", [sales, weather, threaded, forked, either, joined, scaled, level, final], state=shops)


def deliver_some_twice(noted: Callable[[], None]) -> None:
    """Put some of the messages that this process sends into their queue a second time."""
    put = Channel._put

    def put_twice(self: Channel, queue: str, message: Any, **options: Any) -> None:
        put(self, queue, message, **options)
        if random.random() < TWICE:
            put(self, queue, message, **options)
            noted()

    Channel._put = put_twice


if told("twice"):
    deliver_some_twice(lambda: note("doubled"))
