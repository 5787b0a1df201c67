"""One panel's dense series: their values, gaps bridged, and the trailing means that features are made of."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from forecasting.features.analogs import Analogs
from forecasting.features.arrays import mean_of
from forecasting.features.calendar import Clock
from forecasting.features.panel import Floats, Ints, Panel
from forecasting.features.spec import FeatureSpec
from forecasting.features.trailing import Moments

USUAL = (7, 3)  # days and weeks whose same hour tells what is usual


class DenseSeries:
    """What is known of the series of one panel; what is missing is NaN."""

    def __init__(self, panel: Panel, spec: FeatureSpec) -> None:
        self.spec, self._y = spec, panel.y
        self._bridged = bridged(panel.y, spec.seasons[0])
        self.clock = Clock(panel.hours, spec.timezone, spec.horizon)
        self.seasons = spec.seasons[:2]
        self.day, self.week = self.seasons[0], self.seasons[1] if len(self.seasons) > 1 else 0
        y, filled = self._y, self._bridged

        def means(compute: Callable[..., Floats], *arguments: Any) -> Moments:
            # Of functions of arrays: one that held on to this object would keep it until the next collection.
            return Moments(len(panel), partial(compute, *arguments))

        self.level, self.square = means(_values, y), means(_squares, y)
        self.changes = {lag: means(_change, y, filled, lag) for lag in self.seasons}
        self.sizes = {lag: means(_size, y, filled, lag) for lag in (1, *self.seasons)}
        usual = tuple(zip(self.seasons, USUAL, strict=False))
        self.surprises = {season: means(_surprise, y, filled, season, n) for season, n in usual}
        self.surprise_sizes = means(_size_of_surprise, y, filled, *usual[-1])
        self.analogs = Analogs(y, self.day, self.week, spec.lookback)

    def values(self, rows: Ints) -> Floats:
        """Return the series in some rows, gaps bridged, NaN before its start."""
        return _rows(self._bridged, rows)


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


def _rows(y: Floats, rows: Ints) -> Floats:
    found: Floats = y[np.maximum(rows, 0)]
    if (early := rows < 0).any():
        found[early] = np.nan
    return found


def _values(y: Floats, first: int, stop: int) -> Floats:
    return y[first:stop]


def _squares(y: Floats, first: int, stop: int) -> Floats:
    return y[first:stop] ** 2


def _change(y: Floats, filled: Floats, lag: int, first: int, stop: int) -> Floats:
    """Return the values of some rows less those `lag` rows before, where gaps are bridged."""
    missing = min(max(lag - first, 0), stop - first)
    start = first + missing
    result = np.full((stop - first, y.shape[1]), np.nan)
    np.subtract(y[start:stop], filled[start - lag : stop - lag], out=result[missing:])
    return result


def _size(y: Floats, filled: Floats, lag: int, first: int, stop: int) -> Floats:
    change = _change(y, filled, lag, first, stop)
    return np.abs(change, out=change)


def _surprise(y: Floats, filled: Floats, season: int, count: int, first: int, stop: int) -> Floats:
    """Return the values of some rows less the mean of those one to `count` seasons before."""
    rows = np.arange(first, stop)
    found: Floats = y[first:stop] - mean_of([_rows(filled, rows - season * k) for k in range(1, count + 1)])
    return found


def _size_of_surprise(y: Floats, filled: Floats, season: int, count: int, first: int, stop: int) -> Floats:
    return np.abs(_surprise(y, filled, season, count, first, stop))
