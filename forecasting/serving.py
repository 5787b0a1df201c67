"""What the tasks of a training flow and of a prediction flow call: train into a registry, forecast from it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pandas as pd

from forecasting.backtest import Backtest, by_age
from forecasting.model import GlobalForecaster
from forecasting.naive import SeasonalNaive
from forecasting.panel import Panel
from forecasting.registry import Manifest, Registry


def train(
    registry: Registry,
    name: str,
    partition: str,
    panel: Panel,
    model: GlobalForecaster,
    *,
    check: int = 168,
    code: str = "",
) -> Manifest:
    """Fit a model to one partition's history, store it and make it live.

    name    what is forecast: the pipe's name
    check   hours at the end that a first model, fitted without them, is measured on; 0, or a history that is not
            twice as long, for no measure
    code    the version of the code that trains

    The metrics that go into the manifest: `mae` and `naive_mae` (the seasonal naive's on the same hours), weighted
    like the panel, and `cover-80`, `cover-95`, all of them over every lead.
    """
    panel = panel.begun()
    metrics = measure(panel, model, check) if 0 < check < len(panel) // 2 else {}
    model.fit(panel)
    span = (_date(panel.hours[0]), _date(panel.hours[-1]))
    return registry.save(
        name, partition, model, span, entities=len(panel.entities), metrics=metrics, code=code
    )


def forecast(registry: Registry, name: str, partition: str, panel: Panel) -> dict[str, dict[str, Any]]:
    """Forecast from the panel's last hour with the live model of the partition: entity -> value of its pipe."""
    model, version = registry.load(name, partition)
    return model.forecast(panel).to_pipes(version, observed=name)


def measure(panel: Panel, model: GlobalForecaster, hours: int) -> dict[str, float]:
    """Fit a model of the same kind without the last `hours`, and measure how it forecasts them."""
    cutoff = panel.hours[len(panel) - 1 - hours]
    horizon = min(model.spec.horizon, hours)
    scores = Backtest(train=len(panel), test=hours, horizon=horizon).run(
        panel,
        [cutoff],
        {
            "model": lambda past: GlobalForecaster(model.spec, model.fitting).fit(past),
            "naive": lambda _: SeasonalNaive(model.spec.seasons[0], model.spec.lookback),
        },
    )
    table = by_age(scores, {"all": (1, horizon)}).set_index("model")
    found = {name: float(table.loc["model", name]) for name in ("mae", "cover-80", "cover-95")}
    return found | {"naive_mae": float(table.loc["naive", "mae"])}


def _date(stamp: pd.Timestamp) -> datetime:
    result: datetime = stamp.to_pydatetime()
    return result
