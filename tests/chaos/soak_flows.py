"""A flow of every kind of task, for the soak."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from pipeline import Flow, State, task


@task(concurrency=4)
def sales(entity: str) -> float:
    return float(len(entity))


@task
def weather(entity: str) -> dict[str, Any]:
    return {"rain": 0.5, "text": "x" * 200}


@task
def joined(sales: float, weather: dict[str, Any] | None = None) -> float:
    return sales + (weather or {}).get("rain", 0.0)


@task(batch=True, window={"joined": "24h"})
def expected(joined: pd.DataFrame) -> dict[str, float]:
    return joined.mean().to_dict()


@task(per="partition")
def level(joined: Any) -> float:
    return sum(sum(chunk.values()) for chunk in joined)


@task
def told(expected: float, level: float | None = None) -> float:
    if expected < 0:
        raise ValueError("cannot be")
    return expected + (level or 0.0)


@task(per="wave")
def total(told: Mapping[str, float] | Any) -> int:
    return sum(len(chunk) for chunk in told)


flow = Flow(
    "soak", [sales, weather, joined, expected, level, told, total], state=State("s", partition_by="city")
)
