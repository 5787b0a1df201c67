"""Forecasts: what a model gives for some origins, leads and entities; in the long format, and as pipe values.

A forecast of one entity is stored as one pipe, a JSON object with a list a column, a number a lead from 1 on:

    {"mean": [12.1, ...], "lo-80": [...], "hi-80": [...], "lo-95": [...], "hi-95": [...], "model": "...", "of": "delay"}

Its date is the issue date, so the number at index k is about the hour k + 1 after it. `model` names the version of
the model, where there is one; `of` the numeric pipe that is forecast, so that a reader finds the observations.
Numbers are rounded to six digits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from forecasting.features.panel import Floats, Ints
from forecasting.models.columns import MEAN, MODEL, OBSERVED

DIGITS = 6


@dataclass(frozen=True, slots=True)
class Forecasts:
    """Forecasts of R (origin, lead) pairs for E entities.

    Args:
        entities: Their keys, E.
        issued: When each was made, (R,).
        leads: Hours from then to the target hour, (R,).
        mean: (R, E).
        bounds: "lo-80", "hi-80", ...: (R, E) each; empty for a model without intervals.
    """

    entities: tuple[str, ...]
    issued: pd.DatetimeIndex
    leads: Ints
    mean: Floats
    bounds: Mapping[str, Floats]

    @property
    def targets(self) -> pd.DatetimeIndex:
        """The hours that the rows are about, (R,)."""
        return self.issued + pd.to_timedelta(self.leads, unit="h")

    def to_long(self) -> pd.DataFrame:
        """Return the long format: unique_id, ds, lead, mean, lo-80, ..., by entity, then by row."""
        rows, count = len(self.leads), len(self.entities)
        columns: dict[str, Any] = {
            "unique_id": np.repeat(np.array(self.entities), rows),
            "ds": np.tile(self.targets, count) if rows else [],
            "lead": np.tile(self.leads, count),
            MEAN: self.mean.T.ravel(),
        }
        frame = pd.DataFrame(columns | {name: values.T.ravel() for name, values in self.bounds.items()})
        frame["ds"] = pd.DatetimeIndex(frame["ds"]).as_unit("s")
        return frame

    def to_pipes(self, model: str | None = None, observed: str | None = None) -> dict[str, dict[str, Any]]:
        """Return entity -> pipe value.

        Args:
            model: Version of the model that made it.
            observed: Name of the numeric pipe that is forecast.

        Raises:
            ValueError: The rows are not the leads 1, 2, ... of one issue date.
        """
        if list(self.leads) != list(range(1, len(self.leads) + 1)) or len(set(self.issued)) > 1:
            raise ValueError("a pipe holds one issue date's leads from 1 on, in order")
        columns: dict[str, Any] = {
            name: _rounded(values).T.tolist() for name, values in {MEAN: self.mean, **self.bounds}.items()
        }
        extra = {name: text for name, text in ((MODEL, model), (OBSERVED, observed)) if text is not None}
        return {
            entity: {name: values[i] for name, values in columns.items()} | extra
            for i, entity in enumerate(self.entities)
        }


def _rounded(values: Floats) -> Floats:
    """Round to six significant digits: a stored forecast needs no more, and takes half the room."""
    with np.errstate(divide="ignore", invalid="ignore"):
        size = np.floor(np.log10(np.abs(values)))
    power = np.power(10.0, DIGITS - 1 - np.where(np.isfinite(size), size, 0.0))
    result: Floats = np.round(values * power) / power
    return result
