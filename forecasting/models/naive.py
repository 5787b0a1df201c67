"""Simple forecasts to compare with. Each has `forecast_at`, as the models have; none needs to be fitted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol

import numpy as np

from forecasting.features.arrays import divide
from forecasting.features.panel import Floats, Ints, Panel
from forecasting.features.trailing import Trailing
from forecasting.models.forecasts import Forecasts

_NO_BOUNDS: Mapping[str, Floats] = MappingProxyType({})


class Forecaster(Protocol):
    """What can be asked for forecasts from any hour of a panel."""

    def forecast_at(self, panel: Panel, origins: Ints, leads: Ints) -> Forecasts:
        """Forecast from R origins (row numbers of the panel), each for its lead, by what was known then."""


@dataclass(frozen=True, slots=True)
class SeasonalNaive:
    """The last value that was seen at the same hour of the season; 0 where there is none in the lookback.

    Args:
        season: Its length, in hours.
        lookback: Hours of the past that are looked at.

    Example:
        >>> hours = pd.date_range("2026-01-01", periods=48, freq="h", tz="UTC")
        >>> panel = Panel.from_frames(pd.DataFrame({"oslo": range(48)}, index=hours))
        >>> SeasonalNaive().forecast_at(panel, origins=np.array([47, 47]), leads=np.array([1, 25])).mean.tolist()
        [[24.0], [24.0]]
    """

    season: int = 24
    lookback: int = 672

    def forecast_at(self, panel: Panel, origins: Ints, leads: Ints) -> Forecasts:
        """Repeat the same hour."""
        rows = origins + leads - self.season * -(-leads // self.season)
        mean = np.full((len(rows), len(panel.entities)), np.nan)
        for back in range(0, self.lookback, self.season):
            earlier = rows - back
            seen = np.where((earlier >= 0)[:, None], panel.y[np.maximum(earlier, 0)], np.nan)
            mean = np.where(np.isnan(mean), seen, mean)
        return _point(panel, origins, leads, np.nan_to_num(mean))


@dataclass(frozen=True, slots=True)
class TrailingMean:
    """The weighted mean of the last hours; 0 where nothing was seen in them.

    Args:
        hours: How many.

    Example:
        >>> hours = pd.date_range("2026-01-01", periods=48, freq="h", tz="UTC")
        >>> panel = Panel.from_frames(pd.DataFrame({"oslo": range(48)}, index=hours))
        >>> TrailingMean(hours=3).forecast_at(panel, origins=np.array([47]), leads=np.array([1])).mean.tolist()
        [[46.0]]
    """

    hours: int = 336

    def forecast_at(self, panel: Panel, origins: Ints, leads: Ints) -> Forecasts:
        """Repeat the mean."""
        sums = Trailing(panel.y * panel.weight).at(origins, self.hours)
        weights = Trailing(panel.weight).at(origins, self.hours)
        return _point(panel, origins, leads, np.nan_to_num(divide(sums, weights)))


@dataclass(frozen=True, slots=True)
class Constant:
    """Always the same value.

    Args:
        value: In the unit of the series.

    Example:
        >>> hours = pd.date_range("2026-01-01", periods=48, freq="h", tz="UTC")
        >>> panel = Panel.from_frames(pd.DataFrame({"oslo": range(48)}, index=hours))
        >>> Constant(7.0).forecast_at(panel, origins=np.array([47]), leads=np.array([1])).mean.tolist()
        [[7.0]]
    """

    value: float = 0.0

    def forecast_at(self, panel: Panel, origins: Ints, leads: Ints) -> Forecasts:
        """Return the value."""
        return _point(panel, origins, leads, np.full((len(origins), len(panel.entities)), self.value))


def _point(panel: Panel, origins: Ints, leads: Ints, mean: Floats) -> Forecasts:
    return Forecasts(panel.entities, panel.hours[origins], leads, mean, _NO_BOUNDS)
