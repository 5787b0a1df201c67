"""A flow to look at: slow enough to be watched, with an entity that fails."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from pipeline import Flow, State, task

BROKEN = "shop-07"
shops = State("shops", partition_by="city")


@task
def sales(entity: str) -> float:
    time.sleep(0.08)
    if entity == BROKEN:
        raise ValueError(f"the till of {entity} is broken")
    return float(len(entity))


@task
def weather(entity: str) -> float:
    time.sleep(0.08)
    return 20.5


@task(batch=True)
def demand(sales: Mapping[str, float], weather: Mapping[str, float]) -> dict[str, float]:
    time.sleep(0.3)
    return {key: value + weather[key] for key, value in sales.items()}


@task(per="partition")
def level(demand: Any) -> float:
    values = [value for chunk in demand for value in chunk.values()]
    return sum(values) / max(len(values), 1)


flow = Flow("shop", [sales, weather, demand, level], state=shops, schedule="5 * * * *")
