"""The day that was served: what each hour was told, how old that was, and how good."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
import numpy.typing as npt

from forecasting.evaluation import metrics
from forecasting.features.panel import Floats
from forecasting.models.columns import BOUNDS
from forecasting.reading.reader import Forecast

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Day:
    """Forecasts beside the truth; arrays of the shape (hours, entities), NaN where there is none."""

    hours: Sequence[datetime]
    entities: Sequence[str]
    y: Floats
    flights: Floats
    rivals: Mapping[str, Floats]  # simple forecasts of the same hours
    mean: Floats = field(init=False)
    bounds: Mapping[str, Floats] = field(init=False)
    age: Floats = field(init=False)  # hours from the forecast's issue to the hour that it is about

    def __post_init__(self) -> None:
        for name in ("mean", "age"):
            object.__setattr__(self, name, np.full(self.y.shape, np.nan))
        object.__setattr__(self, "bounds", {name: np.full(self.y.shape, np.nan) for name in BOUNDS})

    def serve(self, hour: int, forecasts: Mapping[str, Forecast]) -> None:
        """Take what was read for one hour."""
        for column, entity in enumerate(self.entities):
            if found := forecasts.get(entity):
                self.mean[hour, column], self.age[hour, column] = found.value, found.lead
                for name, value in found.bounds.items():
                    self.bounds[name][hour, column] = value

    @property
    def answered(self) -> Mask:
        """Where there was a forecast."""
        result: Mask = ~np.isnan(self.mean)
        return result

    @property
    def fresh(self) -> Mask:
        """Where it was from the wave of the hour before."""
        result: Mask = self.age == 1
        return result

    @property
    def older(self) -> Mask:
        """Where it was from an earlier one."""
        result: Mask = self.age > 1
        return result

    def mae(self, where: Mask, rival: str | None = None) -> float:
        """Mean absolute error in minutes, weighted by flights; of a simple forecast if one is named."""
        forecast = self.mean if rival is None else self.rivals[rival]
        return metrics.mae(self.y, forecast, np.where(where, self.flights, 0.0))

    def coverage(self, level: int, where: Mask) -> float:
        """The share of the delays that lay within the interval of that level (percent)."""
        weight = np.where(where & (self.flights > 0), 1.0, 0.0)
        return metrics.coverage(self.y, self.bounds[f"lo-{level}"], self.bounds[f"hi-{level}"], weight)

    def row(self, hour: int) -> Mask:
        """Where it is this hour."""
        mask: Mask = np.zeros(self.y.shape, dtype=np.bool_)
        mask[hour] = True
        return mask
