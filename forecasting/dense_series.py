"""One panel's dense series: their values, gaps bridged, and the trailing means that features are made of."""

from __future__ import annotations

from functools import partial

import numpy as np

from forecasting.analogs import Analogs
from forecasting.arrays import mean_of
from forecasting.clock import Clock
from forecasting.moments import Moments
from forecasting.panel import Floats, Ints, Panel
from forecasting.spec import FeatureSpec

USUAL = (7, 3)  # days and weeks whose same hour tells what is usual


class DenseSeries:
    """What is known of the series of one panel; what is missing is NaN."""

    def __init__(self, panel: Panel, spec: FeatureSpec) -> None:
        self.spec, self._y = spec, panel.y
        self._bridged = bridged(panel.y, spec.seasons[0])
        self.clock = Clock(panel.hours, spec.timezone, spec.horizon)
        self.seasons = spec.seasons[:2]
        self.day, self.week = self.seasons[0], self.seasons[1] if len(self.seasons) > 1 else 0
        hours = len(panel)
        self.level = Moments(hours, lambda a, b: self._y[a:b])
        self.square = Moments(hours, lambda a, b: self._y[a:b] ** 2)
        self.changes = {lag: Moments(hours, partial(self._change, lag)) for lag in self.seasons}
        self.sizes = {lag: Moments(hours, partial(self._size, lag)) for lag in (1, *self.seasons)}
        usual = tuple(zip(self.seasons, USUAL, strict=False))
        self.surprises = {season: Moments(hours, partial(self._surprise, season, n)) for season, n in usual}
        season, count = usual[-1]
        self.surprise_sizes = Moments(hours, lambda a, b: np.abs(self._surprise(season, count, a, b)))
        self.analogs = Analogs(self._y, self.day, self.week, spec.lookback)

    def values(self, rows: Ints) -> Floats:
        """The series in some rows, gaps bridged, NaN before its start."""
        found: Floats = self._bridged[np.maximum(rows, 0)]
        if (early := rows < 0).any():
            found[early] = np.nan
        return found

    def _change(self, lag: int, first: int, stop: int) -> Floats:
        """The values of some rows less those `lag` rows before, where gaps are bridged."""
        missing = min(max(lag - first, 0), stop - first)
        start = first + missing
        result = np.full((stop - first, self._y.shape[1]), np.nan)
        np.subtract(self._y[start:stop], self._bridged[start - lag : stop - lag], out=result[missing:])
        return result

    def _size(self, lag: int, first: int, stop: int) -> Floats:
        change = self._change(lag, first, stop)
        return np.abs(change, out=change)

    def _surprise(self, season: int, count: int, first: int, stop: int) -> Floats:
        """The values of some rows less the mean of those one to `count` seasons before."""
        rows = np.arange(first, stop)
        usual: Floats = self._y[first:stop] - mean_of(
            [self.values(rows - season * k) for k in range(1, count + 1)]
        )
        return usual


def bridged(y: Floats, day: int) -> Floats:
    """Put the same hour of the day before for an hour that is missing, and so on through a longer gap.

    Without it a model whose history had no gaps would not know what to make of one. What is before a series' first
    day stays missing. Nothing is taken from later hours.
    """
    missing = np.isnan(y)
    if not missing.any() or len(y) <= day:
        return y
    filled = y.copy()
    for first in range(day, len(y), day):
        block = filled[first : first + day]
        np.copyto(block, filled[first - day : first][: len(block)], where=missing[first : first + day])
    return filled
