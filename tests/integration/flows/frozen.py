"""Flows with code that holds the GIL: nothing else runs in its process."""

from __future__ import annotations

import time
from collections import deque
from itertools import repeat

from pipeline import Flow, task


def hold(seconds: float | None = None) -> None:
    """Stay in C, without a look at signals, for some seconds or for ever."""
    if seconds is None:
        deque(repeat(0), maxlen=0)
    step = 1_000_000
    began = time.perf_counter()
    deque(repeat(0, step), maxlen=0)
    deque(repeat(0, int(seconds * step / (time.perf_counter() - began))), maxlen=0)


@task(time_limit="3s")
def held(entity: str) -> int:
    if entity == "holder":
        hold()
    time.sleep(0.2)
    return 1


@task(batch=True, splittable=True, time_limit="3s")
def batched(entity: list[str]) -> dict[str, int]:
    if "holder" in entity:
        hold()
    return dict.fromkeys(entity, 1)


@task(time_limit="90s")
def long(entity: str) -> int:
    if entity == "holder":
        hold(9)
    return 1


@task
def after(held: int | None = None) -> int:
    return held or 0


frozen = Flow("frozen", [held, after])
pieces = Flow("pieces", [batched])
lasting = Flow("lasting", [long])
