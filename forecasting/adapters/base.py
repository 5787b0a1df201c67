"""What all adapters share: the interface, and intervals from held-out errors."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd

from forecasting.errors import DataError, NotFitted
from forecasting.features.arrays import divide
from forecasting.features.panel import Floats, Panel
from forecasting.models.forecasts import Forecasts
from forecasting.models.intervals import Conformal, normal, tidy
from forecasting.models.local.lags import filled
from forecasting.models.spec_file import reading_spec, write_spec

SCALE = 672  # hours over which the size of a series' changes is measured


class Adapter(ABC):
    """A forecaster of another library.

    Args:
        horizon: The largest lead, in hours.
        seasons: Periods in hours; the first is the main one.
        held_out: Hours at the end of the history that a first fit, without them, is measured on for the intervals; 0
            for a model without intervals.
    """

    def __init__(self, horizon: int = 24, seasons: tuple[int, ...] = (24, 168), held_out: int = 168) -> None:
        self.horizon = horizon
        self.seasons = tuple(seasons)
        self.held_out = held_out
        self._conformal: Conformal | None = None
        self._ready = False

    def fit(self, data: Panel | pd.DataFrame) -> Self:
        """Fit to a panel, or to the long format (unique_id, ds, y). Raises DataError when there is too little."""
        panel = _panel(data)
        cut = len(panel) - self.held_out
        if cut < 2 * self.seasons[0] or not (panel.weight[:cut] > 0).any():
            raise DataError(
                f"{len(panel)} hours are too few to fit a model to and hold {self.held_out} of them out. Give several "
                "weeks, or a smaller held_out."
            )
        self._conformal = None
        if self.held_out:
            self._learn(panel.part(0, cut))
            self._conformal = self._measured(panel, cut)
        self._learn(panel)
        self._ready = True
        return self

    def predict(self, data: Panel | pd.DataFrame) -> pd.DataFrame:
        """Forecast the hours after the last one, in the long format: unique_id, ds, lead, mean, lo-80, ..."""
        return self.forecast(_panel(data)).to_long()

    def forecast(self, panel: Panel) -> Forecasts:
        """Forecast the leads 1 to `horizon` from the panel's last hour. NaN for entities without an observation."""
        self._check()
        leads = np.arange(1, self.horizon + 1)
        mean = self._mean(panel)
        bounds: dict[str, Floats] = {}
        if self._conformal is not None:
            bounds = self._conformal.apply(leads, normal(mean, self._scale(panel)))
            bounds = tidy(mean, bounds)
        issued = pd.DatetimeIndex([panel.hours[-1]] * self.horizon)
        return Forecasts(panel.entities, issued, leads, mean, bounds)

    def save(self, folder: Path) -> None:
        """Write the model's files into a folder that exists. Raises ModelError for what has no format but pickle."""
        self._check()
        self._store(folder)
        widening = None if self._conformal is None else self._conformal.to_json()
        write_spec(folder, {"given": self._given(), "widening": widening})

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote. Raises ModelError when a file is missing or cannot be read."""
        with reading_spec(folder) as stored:
            model = cls._restored(folder, stored["given"])
            if stored["widening"] is not None:
                model._conformal = Conformal.from_json(stored["widening"])
        model._ready = True
        return model

    @abstractmethod
    def _learn(self, panel: Panel) -> None:
        """Fit to a panel."""

    @abstractmethod
    def _mean(self, panel: Panel) -> Floats:
        """Forecast the leads 1 to horizon from the panel's last hour: (horizon, E)."""

    @abstractmethod
    def _store(self, folder: Path) -> None:
        """Write what was learned."""

    @classmethod
    @abstractmethod
    def _restored(cls, folder: Path, given: Mapping[str, Any]) -> Self:
        """Build the model from its parameters, as `_given` returned them, and from what was learned."""

    def _given(self) -> dict[str, Any]:
        return {"horizon": self.horizon, "seasons": self.seasons, "held_out": self.held_out}

    def _check(self) -> None:
        if not self._ready:
            raise NotFitted

    def _measured(self, panel: Panel, cut: int) -> Conformal:
        """Measure the intervals on forecasts of a day each, from the hours that were held out."""
        leads, errors, scales = [], [], []
        for origin in range(cut - 1, len(panel) - 1, self.seasons[0]):
            known = panel.part(0, origin + 1)
            truth = panel.y[origin + 1 : origin + 1 + self.horizon]
            error = truth - self._mean(known)[: len(truth)]
            there = ~np.isnan(error)
            leads.append(np.broadcast_to(np.arange(1, len(truth) + 1)[:, None], error.shape)[there])
            errors.append(error[there])
            scales.append(np.broadcast_to(self._scale(known), error.shape)[there])
        everything, scale = np.concatenate(errors), np.concatenate(scales)
        bounds = normal(np.zeros_like(everything), scale)
        return Conformal.measure(np.concatenate(leads), everything, bounds, self.horizon)

    def _scale(self, panel: Panel) -> Floats:
        """Return the mean change of each entity from season to season, (E,); above zero."""
        y, season = panel.y[-SCALE:], self.seasons[0]
        change = np.abs(y[season:] - y[:-season])
        size = divide(np.nansum(np.abs(y), axis=0), (~np.isnan(y)).sum(axis=0).astype(np.float64))
        scale = divide(np.nansum(change, axis=0), (~np.isnan(change)).sum(axis=0).astype(np.float64))
        scale = np.where(scale > 0, scale, 1e-3 * size)
        return np.where(scale > 0, scale, 1.0)


def plain_long(panel: Panel, season: int) -> pd.DataFrame:
    """Return the long format as other libraries want it: unique_id, ds without a time zone (UTC), y without a gap.

    Each entity starts with its first observation; entities without one are left out.
    """
    whole = filled(panel.y, season)
    hours = panel.hours.tz_localize(None)
    parts = [
        pd.DataFrame({"unique_id": name, "ds": hours[first:], "y": whole[first:, i]})
        for i, name, first in _begun(panel)
    ]
    if not parts:
        raise DataError("no entity has an observation. Give at least one that has.")
    return pd.concat(parts, ignore_index=True)


def wide(answer: pd.DataFrame, panel: Panel, horizon: int) -> Floats:
    """Turn an answer (unique_id, ds, a column a model) into (horizon, E): the mean of the models."""
    models = [name for name in answer.columns if name not in ("unique_id", "ds")]
    answer = answer.assign(mean=answer[models].mean(axis=1))
    hours = pd.date_range(panel.hours[-1].tz_localize(None), periods=horizon + 1, freq="h")[1:]
    table = answer.pivot(index="ds", columns="unique_id", values="mean")
    found: Floats = table.reindex(index=hours, columns=list(panel.entities)).to_numpy(np.float64)
    return found


def _begun(panel: Panel) -> Iterator[tuple[int, str, int]]:
    seen = ~np.isnan(panel.y)
    for i in np.flatnonzero(seen.any(axis=0)).tolist():
        yield i, panel.entities[i], int(np.argmax(seen[:, i]))


def _panel(data: Panel | pd.DataFrame) -> Panel:
    return data if isinstance(data, Panel) else Panel.from_long(data)
