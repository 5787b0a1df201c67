"""What the tasks of a training flow and of a prediction flow call: train into a registry, forecast from it."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pandas as pd

from forecasting.backtest import Backtest, by_age
from forecasting.errors import DataError, ModelError
from forecasting.forecasts import Forecasts
from forecasting.naive import Forecaster, SeasonalNaive
from forecasting.panel import Panel
from forecasting.recalibration import Recalibrated, recalibrate
from forecasting.registry import Manifest, PromotionRefused, Registry
from forecasting.registry.calling import forecaster, forecasts_of, horizon_of, season_of
from forecasting.registry.gate import COVER, LIVE_MAE, MAE, NAIVE_MAE
from forecasting.registry.manifest import recipe_of
from pipeline.running import running

LEAST_CHECK = 24  # hours; fewer tell nothing
INSTEAD_OF = (
    "instead_of"  # in a pipe: the live version, where its files are damaged and another one made the forecast
)


@dataclass(frozen=True, slots=True)
class Trained:
    """What came of a training."""

    manifest: Manifest
    live: bool
    text: str  # what the gate said, with its numbers


def train(
    registry: Registry,
    name: str,
    partition: str,
    panel: Panel,
    model: Any,
    *,
    check: int = 168,
    code: str = "",
    by: str = "",
) -> Trained:
    """Fit a model to one partition's history, store it, and make it live if it passes the gate.

    name    what is forecast: the pipe's name
    model   an estimator with fit, predict, save and load, not fitted yet
    check   hours at the end that a first fit, without them, is measured on; at most a third of the history
    code    the version of the code that trains; `by` who makes it live, for the history

    The metrics that go into the manifest are those of `measure`, all of them over every lead. A history of less than
    three days cannot be measured, so that its model is stored and not made live. Raises DataError, ModelError.
    """
    panel = panel.begun()
    live = registry.newest(name, partition).live
    metrics = _metrics(registry, name, partition, live, panel, model, min(check, len(panel) // 3))
    model.fit(panel)
    manifest = registry.save(
        name,
        partition,
        model,
        (_date(panel.hours[0]), _date(panel.hours[-1])),
        entities=len(panel.entities),
        metrics=metrics,
        against=live if LIVE_MAE in metrics else None,
        code=code,
    )
    try:
        done = registry.promote(name, partition, manifest.version, why="trained", by=by)
    except PromotionRefused as refused:
        return Trained(manifest, False, str(refused))
    return Trained(manifest, True, done.event.text)


def forecast(registry: Registry, name: str, partition: str, panel: Panel) -> dict[str, dict[str, Any]]:
    """Forecast from the panel's last hour with the live model of the partition: entity -> value of its pipe.

    In a wave the intervals are recalibrated by the errors of its version's earlier forecasts. Where the live version
    is damaged the one before it forecasts, and each pipe says so under "instead_of". Raises ModelError when nothing is
    live, and says why.
    """
    live = registry.serving(name, partition)
    pipes = _recalibrated(forecasts_of(live.model, panel), panel).to_pipes(live.version, observed=name)
    if live.instead_of is not None:
        for value in pipes.values():
            value[INSTEAD_OF] = live.instead_of
    return pipes


def _recalibrated(forecasts: Forecasts, panel: Panel) -> Recalibrated:
    """Correct intervals by the earlier pipes of the task that runs; outside of a wave they stay."""
    run = running()
    if run is None:
        return Recalibrated(forecasts, {})
    return recalibrate(forecasts, panel, run.task, run.source.version, run.source.store)


def measure(panel: Panel, model: Any, hours: int, live: Any = None) -> dict[str, float]:
    """Fit a model of the same kind without the last `hours`, and measure how it forecasts them from each of them.

    live  the live version's model, as an object of its own: it is fitted to the same past, so that both know the same

    Gives `mae`, `naive_mae` (the seasonal naive's on the same hours) and `live_mae`, weighted like the panel, and
    `cover-80`, `cover-95` where the model knows intervals; nothing where there are too few hours.
    """
    if hours < LEAST_CHECK:
        return {}
    cutoff = panel.hours[len(panel) - 1 - hours]
    models: dict[str, Callable[[Panel], Forecaster]] = {
        MAE: lambda past: forecaster(_fitted(deepcopy(model), past)),
        NAIVE_MAE: lambda _: SeasonalNaive(season_of(model)),
    }
    if live is not None:
        models[LIVE_MAE] = lambda past: forecaster(_fitted(live, past))
    horizon = min(horizon_of(model), hours, *([] if live is None else [horizon_of(live)]))
    try:
        scores = Backtest(train=len(panel), test=hours, horizon=horizon).run(panel, [cutoff], models)
    except DataError:
        return {}
    table = by_age(scores, {"all": (1, horizon)}).set_index("model")
    found = {name: float(table.loc[name, "mae"]) for name in models}
    found |= {cover: float(table.loc[MAE, cover]) for cover in ("cover-80", COVER)}
    return {name: value for name, value in found.items() if value == value}


def _metrics(
    registry: Registry, name: str, partition: str, live: str | None, panel: Panel, model: Any, hours: int
) -> dict[str, float]:
    """Measure a model beside the live one.

    A live model of the same class and parameters would be the same one when it is fitted to the same past: it is not
    fitted twice, and its successor, which knows newer data, may follow it.
    """
    rival, same = None, False
    if live is not None:
        try:
            same = registry.manifest(name, partition, live).recipe == recipe_of(model)
            rival = None if same else registry.fresh(name, partition, live)
        except ModelError:  # a damaged live version is no rival
            rival = None
    metrics = measure(panel, model, hours, rival)
    return metrics | ({LIVE_MAE: metrics[MAE]} if same and MAE in metrics else {})


def _fitted(model: Any, past: Panel) -> Any:
    return model.fit(past) or model


def _date(stamp: pd.Timestamp) -> datetime:
    result: datetime = stamp.to_pydatetime()
    return result
