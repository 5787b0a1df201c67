"""A flow with shards, a scope and a failure, for tests of traces."""

from __future__ import annotations

from pipeline import Flow, State, task


@task
def sales(entity: str) -> float:
    if entity == "bad":
        raise ConnectionError(f"no sales of {entity}")
    return 1.0


@task(per="wave")
def level(sales: object) -> float:
    return 2.0


@task
def demand(sales: float, level: float) -> float:
    return sales * level


shop = Flow("shop", [sales, level, demand], state=State("shops"))
