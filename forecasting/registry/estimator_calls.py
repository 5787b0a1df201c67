"""Calling any estimator: ours, which forecast from many origins at once, and those that know no more than `predict`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from forecasting.errors import ModelError
from forecasting.features.panel import Floats, Ints, Panel
from forecasting.models.columns import BOUNDS, MEAN
from forecasting.models.forecasts import Forecasts
from forecasting.models.naive import Forecaster

DEFAULT_HORIZON = 24


def forecasts_of(model: Any, panel: Panel) -> Forecasts:
    """Forecast from the panel's last hour, each lead from 1 on. Raises ModelError for an answer of another form."""
    if hasattr(model, "forecast"):
        found: Forecasts = model.forecast(panel)
        return found
    return _from_long(type(model).__name__, panel, model.predict(panel))


def forecaster(model: Any) -> Forecaster:
    """Return what can be asked for forecasts from any hours of a panel."""
    return model if hasattr(model, "forecast_at") else _OneByOne(model)


def horizon_of(model: Any) -> int:
    """Return the largest lead of an estimator, in hours; a day where it does not say."""
    spec = getattr(model, "spec", None)
    return int(getattr(model, "horizon", None) or getattr(spec, "horizon", None) or DEFAULT_HORIZON)


def season_of(model: Any) -> int:
    """Return the main season of an estimator, in hours; a day where it does not say."""
    spec = getattr(model, "spec", None)
    seasons = getattr(model, "seasons", None) or getattr(spec, "seasons", None) or (24,)
    return int(seasons[0])


@dataclass(frozen=True)
class _OneByOne:
    """Asks for a forecast from each origin by itself."""

    model: Any

    def forecast_at(self, panel: Panel, origins: Ints, leads: Ints) -> Forecasts:
        """Forecast from R origins, each for its lead."""
        names: dict[str, Floats] = {}
        for origin in np.unique(origins):
            found = forecasts_of(self.model, panel.part(0, int(origin) + 1))
            rows = np.flatnonzero(origins == origin)
            lead = np.minimum(leads[rows], len(found.leads)) - 1
            for name, values in {MEAN: found.mean, **found.bounds}.items():
                whole = names.setdefault(name, np.full((len(origins), len(panel.entities)), np.nan))
                whole[rows] = values[lead]
        mean = names.pop(MEAN)
        return Forecasts(panel.entities, panel.hours[origins], leads, mean, names)


def _from_long(who: str, panel: Panel, answer: Any) -> Forecasts:
    wanted = {"unique_id", "ds", MEAN}
    if not isinstance(answer, pd.DataFrame) or not wanted <= set(answer.columns):
        raise ModelError(
            f"{who}.predict(panel) is to give a DataFrame with unique_id, ds and {MEAN} (and {', '.join(BOUNDS)} where "
            "it knows intervals), a row an entity and hour."
        )
    hours = pd.DatetimeIndex(answer["ds"].unique()).sort_values()
    leads = ((hours - panel.hours[-1]) / pd.Timedelta(hours=1)).to_numpy().astype(np.int64)
    if list(leads) != list(range(1, len(leads) + 1)):
        raise ModelError(
            f"{who}.predict(panel) is to forecast the hours that follow {panel.hours[-1]}, without a hole; it "
            f"gave {', '.join(map(str, hours[:3]))}..."
        )
    wide: Mapping[str, Floats] = {
        name: answer.pivot(index="ds", columns="unique_id", values=name)
        .reindex(index=hours, columns=list(panel.entities))
        .to_numpy(np.float64)
        for name in (MEAN, *BOUNDS)
        if name in answer.columns
    }
    bounds = {name: values for name, values in wide.items() if name != MEAN}
    issued = pd.DatetimeIndex([panel.hours[-1]] * len(leads))
    return Forecasts(panel.entities, issued, leads, wide[MEAN], bounds)
