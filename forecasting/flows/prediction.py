"""What the tasks of a prediction flow call: forecast a shard's entities by their partition's live model."""

from __future__ import annotations

from typing import Any

from forecasting.features.panel import Panel
from forecasting.models.forecasts import Forecasts
from forecasting.reading.recalibration import Recalibrated, recalibrate
from forecasting.registry import Registry
from forecasting.registry.estimator_calls import forecasts_of
from pipeline.execution.current_run import running

# In a pipe: the live version, where its files are damaged and another one made the forecast.
INSTEAD_OF = "instead_of"


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
