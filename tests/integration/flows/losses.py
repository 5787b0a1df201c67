"""Flows whose workers are killed by a test."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

from redis import Redis

from pipeline import Flow, task


def first_time(name: str) -> bool:
    """Whether nobody has asked for this name before."""
    with Redis.from_url(os.environ["REDIS_URL"]) as client:
        return client.incr(name) == 1


@task
def measured(entity: str) -> int:
    time.sleep(0.004)
    return 1


@task
def doubled(measured: int) -> int:
    return 2 * measured


steady = Flow("steady", [measured, doubled])


@task(time_limit="1s")
def brief(entity: str, date: Any) -> int:
    if first_time(f"brief {date:%Y-%m-%dT%H}"):
        time.sleep(0.9)
    return 1


short = Flow("short", [brief])


@task
def fatal(entity: str, date: Any) -> int:
    if first_time(f"fatal {date:%Y-%m-%dT%H}"):
        os.kill(os.getpid(), signal.SIGKILL)
    return 1


dying = Flow("dying", [fatal])


@task
def wavering(entity: str, date: Any) -> float:
    if not first_time(f"wavering {date:%Y-%m-%dT%H}"):
        raise ValueError("not again")
    time.sleep(14)
    return 5.0


@task
def after(wavering: float) -> float:
    return wavering + 1


doubtful = Flow("doubtful", [wavering, after])
