"""Rival: the same flow written by hand, one Celery chord an entity.

The settings are those that a careful user would choose for many short tasks: acks early, many messages taken at a
time, values handed on in the chord itself and in messages, no results beside that, no events. Its result backend is
ours, which follows no results: with Celery's own the process that sends is slower, and complains when it ends.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from functools import cache
from typing import Any

import orjson
from celery import Celery, chain, chord
from redis import Redis

from tests.benchmarks.flows import DAYS_KEPT, OBJECTS

BROKER, PIPES = "CHORDS_BROKER", "CHORDS_PIPES"  # addresses, in a worker's environment
LIMIT = 60.0  # seconds that a run may take

app = Celery("chords")


def configure(broker: str, pipes: str) -> None:
    """Point the application at its Redis."""
    app.conf.update(
        broker_url=broker,
        result_backend=f"pipeline.messaging.result_backend:ChordBackend+{broker}",
        pipes_url=pipes,
        task_ignore_result=True,
        task_default_queue="chords",
        task_acks_late=False,
        worker_prefetch_multiplier=64,
        result_expires=3600,
    )


if BROKER in os.environ:  # in a worker
    configure(os.environ[BROKER], os.environ[PIPES])


@cache
def client() -> Redis:
    """This process' client of the pipes."""
    return Redis.from_url(app.conf.pipes_url)


def keep(pipe: str, entity: str, stamp: str, value: Any) -> Any:
    """Write a value once."""
    client().set(f"chords/{pipe} {entity} {stamp}", orjson.dumps(value), nx=True, ex=DAYS_KEPT * 86400)
    return value


@app.task(ignore_result=True)
def one(entity, stamp):
    return keep("one", entity, stamp, OBJECTS["one"](entity, stamp))


@app.task(ignore_result=True)
def two(entity, stamp):
    return keep("two", entity, stamp, OBJECTS["two"](entity, stamp))


@app.task(ignore_result=True)
def three(entity, stamp):
    return keep("three", entity, stamp, OBJECTS["three"](entity, stamp))


@app.task(ignore_result=True)
def joined(values, entity, stamp):
    return keep("joined", entity, stamp, OBJECTS["joined"](*values))


@app.task(ignore_result=True)
def final(value, entity, stamp):
    keep("final", entity, stamp, OBJECTS["final"](value))
    client().incr(f"chords ended {stamp}")


def run(entities: Sequence[str], stamp: str) -> float:
    """Run the flow for some entities; gives the seconds from before the first chord is sent to the last value."""
    start = time.perf_counter()
    with app.producer_pool.acquire(block=True) as producer:
        for entity in entities:
            header = [one.si(entity, stamp), two.si(entity, stamp), three.si(entity, stamp)]
            body = chain(joined.s(entity, stamp), final.s(entity, stamp))
            chord(header, body).apply_async(producer=producer)
    while int(client().get(f"chords ended {stamp}") or 0) < len(entities):
        if time.perf_counter() - start > LIMIT:
            raise TimeoutError(f"{len(entities)} chords had not ended after {LIMIT:g} s")
        time.sleep(0.005)
    return time.perf_counter() - start
