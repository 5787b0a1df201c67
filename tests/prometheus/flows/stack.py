"""Flows of a staged deployment: one whose source can fail, one that can lose workers."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from typing import Any

from redis import Redis

from pipeline import Flow, State, task

DUE = datetime.now(UTC) - timedelta(minutes=30)


def asked(name: str) -> bool:
    """Whether the test wants this now."""
    with Redis.from_url(os.environ["REDIS_URL"]) as client:
        return bool(client.exists(name))


@task
def stock(entity: str) -> int:
    if entity.endswith("0") and asked("break"):
        raise ConnectionError(f"no stock for {entity}")
    return len(entity)


@task
def value(stock: int) -> float:
    return stock * 2.5


@task
def demand(value: float) -> dict[str, Any]:
    """A forecast of two days."""
    return {"mean": [value] * 48, "of": "value"}


@task
def unlucky(entity: str, date: Any) -> int:
    """Kills its process, once for each entity, where that is asked for."""
    with Redis.from_url(os.environ["REDIS_URL"]) as client:
        if client.exists("kill") and client.incr(f"killed {entity}") == 1:
            os.kill(os.getpid(), 9)
    return 1


shops = Flow("shops", [stock, value, demand], state=State("shops"), schedule=f"{DUE.minute} * * * *")
mines = Flow("mines", [unlucky], state=State("mines"))
