"""The day that was served: what each hour was told, how old that was, and how good."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt

from forecasting.evaluation import metrics
from forecasting.features.panel import Floats
from forecasting.models.columns import BOUNDS
from forecasting.reading.reader import Forecast

Mask = npt.NDArray[np.bool_]


@dataclass
class Day:
    """Forecasts beside the truth; arrays of the shape (hours, entities), NaN where there is none.

    `age` is in hours, from the forecast's issue to the hour that it is about.
    """

    hours: Sequence[datetime]
    entities: Sequence[str]
    y: Floats
    flights: Floats
    rivals: Mapping[str, Floats]  # simple forecasts of the same hours

    def __post_init__(self) -> None:
        self.mean, self.age, *bounds = (np.full(self.y.shape, np.nan) for _ in range(2 + len(BOUNDS)))
        self.bounds = dict(zip(BOUNDS, bounds, strict=True))

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
        return np.asarray(~np.isnan(self.mean))

    @property
    def fresh(self) -> Mask:
        """Where it was from the wave of the hour before."""
        return np.asarray(self.age == 1)

    @property
    def older(self) -> Mask:
        """Where it was from an earlier one."""
        return np.asarray(self.age > 1)

    def mae(self, where: Mask, rival: str | None = None) -> float:
        """Mean absolute error in minutes, weighted by flights; of a simple forecast if one is named."""
        forecast = self.mean if rival is None else self.rivals[rival]
        return metrics.mae(self.y, forecast, np.where(where, self.flights, 0.0))

    def coverage(self, level: int, where: Mask) -> float:
        """Return the share of the delays that lay within the interval of that level (percent)."""
        weight = np.where(where & (self.flights > 0), 1.0, 0.0)
        return metrics.coverage(self.y, self.bounds[f"lo-{level}"], self.bounds[f"hi-{level}"], weight)
