"""What the tasks of a training flow and of a prediction flow call: train into a registry, forecast from it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pandas as pd

from forecasting.evaluation.measuring import Rival, measure
from forecasting.features.panel import Panel
from forecasting.models.forecasts import Forecasts
from forecasting.reading.recalibration import Recalibrated, recalibrate
from forecasting.registry import Manifest, PromotionRefused, Registry
from forecasting.registry.estimator_calls import forecasts_of
from forecasting.registry.promotion_gate import LIVE_MAE
from pipeline.execution.current_run import running

# In a pipe: the live version, where its files are damaged and another one made the forecast.
INSTEAD_OF = "instead_of"


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

    The metrics that go into the manifest are those of `measuring.metrics`. A history of less than
    three days cannot be measured, so that its model is stored and not made live. Raises DataError, ModelError.
    """
    panel = panel.begun()
    rival = Rival.of(registry, name, partition, model)
    metrics = measure(panel, model, min(check, len(panel) // 3), rival)
    model.fit(panel)
    manifest = registry.save(
        name,
        partition,
        model,
        (_date(panel.hours[0]), _date(panel.hours[-1])),
        entities=len(panel.entities),
        metrics=metrics,
        against=rival.version if LIVE_MAE in metrics else None,
        code=code,
    )
    try:
        done = registry.promote(name, partition, manifest.version, why="trained", by=by, automatic=True)
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


def _date(stamp: pd.Timestamp) -> datetime:
    result: datetime = stamp.to_pydatetime()
    return result
