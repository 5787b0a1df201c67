"""Flows whose tasks open process pools."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from concurrent.futures import ProcessPoolExecutor
from typing import Any

from joblib import Parallel, delayed
from redis import Redis

from pipeline import Flow, task

NUMBERS = range(5)
kept: list[Any] = []  # what a module holds on to


def square(number: int) -> int:
    return number * number


def tell(name: str, seconds: float = 60.0) -> int:
    """Say which process this is, and stay."""
    with Redis.from_url(os.environ["REDIS_URL"]) as client:
        client.rpush(name, os.getpid())
    time.sleep(seconds)
    return 1


def told(name: str, count: int) -> None:
    """Wait until so many have said who they are."""
    with Redis.from_url(os.environ["REDIS_URL"]) as client:
        while client.llen(name) < count:
            time.sleep(0.02)


@task
def executor(entity: str) -> int:
    with ProcessPoolExecutor(2) as pool:
        return sum(pool.map(square, NUMBERS))


@task(concurrency=2)
def threaded(entity: str) -> int:
    with ProcessPoolExecutor(1) as pool:
        return sum(pool.map(square, NUMBERS))


@task
def pool(entity: str) -> int:
    with multiprocessing.Pool(2) as found:
        return sum(found.map(square, NUMBERS))


@task
def spawned(entity: str) -> int:
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as found:
        return sum(found.map(square, NUMBERS))


@task
def forked(entity: str) -> int:
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("fork")) as found:
        return sum(found.map(square, NUMBERS))


@task
def joblibs(entity: str) -> int:
    return sum(Parallel(n_jobs=2)(delayed(square)(n) for n in NUMBERS))


@task
def method(entity: str) -> str:
    return multiprocessing.get_start_method()


@task
def leaving(entity: str) -> int:
    """Leave a process, an executor's and a pool's, all of them at work."""
    multiprocessing.Process(target=tell, args=("left",)).start()
    kept.extend((ProcessPoolExecutor(1), multiprocessing.Pool(1)))
    kept[-2].submit(tell, "left")
    kept[-1].apply_async(tell, ("left",))
    told("left", 3)
    Parallel(n_jobs=2)(delayed(tell)("left", 0.1) for _ in NUMBERS)
    return 1


@task(time_limit="3s")
def limited(entity: str) -> int:
    if entity != "slow":
        return 1
    with ProcessPoolExecutor(1) as found:
        return sum(found.map(tell, ["limited"]))


@task
def dying(entity: str) -> int:
    """Start processes in each of the ways, and die, the first time."""
    with Redis.from_url(os.environ["REDIS_URL"]) as client:
        first = client.incr("dying") == 1
    if first:
        for way in ("forkserver", "spawn", "fork"):
            kept.append(ProcessPoolExecutor(1, mp_context=multiprocessing.get_context(way)))
            kept[-1].submit(tell, "orphans")
        told("orphans", 3)
        os.kill(os.getpid(), signal.SIGKILL)
    return 1


@task(time_limit="60s")
def working(entity: str) -> int:
    with ProcessPoolExecutor(2) as found:
        return sum(found.map(tell, ["workers", "workers"]))


pools = Flow("pools", [executor, threaded, pool, spawned, forked, joblibs, method])
left = Flow("left", [leaving])
limits = Flow("limits", [limited])
orphans = Flow("orphans", [dying])
work = Flow("work", [working])
