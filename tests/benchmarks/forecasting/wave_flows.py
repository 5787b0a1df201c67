"""The flow of line 7, and its model: some work that is as long as is asked for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from forecasting import Forecasting, Forecasts, GlobalForecaster, Panel
from pipeline import Flow, task

PIPE, FORECAST = "demand", "demand_forecast"


class Repeated:
    """A model that forecasts several times over, as several models whose mean is taken would."""

    def __init__(self, model: GlobalForecaster, times: int = 1) -> None:
        self.model_ = model
        self.times = times

    def fit(self, data: Panel) -> Repeated:
        """Fit the model."""
        self.model_.fit(data)
        return self

    def forecast(self, panel: Panel) -> Forecasts:
        """Forecast; the last forecast is as good as any."""
        for _ in range(self.times - 1):
            self.model_.forecast(panel)
        return self.model_.forecast(panel)

    def predict(self, data: Panel) -> Any:
        """Forecast in the long format."""
        return self.forecast(data).to_long()

    def save(self, folder: Path) -> None:
        """Write the model's files, and how many times it is used."""
        self.model_.save(folder)
        (folder / "times.json").write_text(json.dumps(self.times))

    @classmethod
    def load(cls, folder: Path) -> Repeated:
        """Read what `save` wrote."""
        return cls(GlobalForecaster.load(folder), json.loads((folder / "times.json").read_text()))


@task
def demand(entity):
    """Be there: its pipes are in the store before the wave starts."""


forecasts = Flow("forecasts", [demand, Forecasting(PIPE, horizon=48).task()])
