"""A flow whose last task forecasts, without a model."""

from __future__ import annotations

from pipeline import Flow, State, task


@task
def sales(entity: str) -> float:
    return float(len(entity))


@task
def sales_forecast(sales: float) -> dict[str, object]:
    mean = [sales + lead / 10 for lead in range(24)]
    return {"mean": mean, "lo-80": [m - 1 for m in mean], "hi-80": [m + 1 for m in mean], "of": "sales"}


flow = Flow("told", [sales, sales_forecast], state=State("shops", partition_by="city"), schedule="5 * * * *")
