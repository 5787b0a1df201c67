"""Features of dense series that do not depend on the lead: how the last hours stand to a day and a week before."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from forecasting.features.arrays import median, or_longer
from forecasting.features.dense_series import DenseSeries
from forecasting.features.panel import Floats, Ints

SURPRISES = (1, 6, 24, 72, 168)  # hours over which surprises are averaged, up to one season
SPANS = (1, 2, 3, 6, 12, 24, 48)  # hours over which the recent past is compared to a day and a week before
FEW = 3  # observations of which no scale can be told
LEAST = 1e-3  # of its level is the scale of a series that never changed


class State:
    """What does not depend on the lead, at U different origins: arrays of shape (U, entities)."""

    def __init__(self, dense: DenseSeries, origins: Ints, which: Ints) -> None:
        self.dense, self.origins, self.which = dense, origins, which
        spec = dense.spec
        windows = sorted({spec.lookback, *dense.seasons, 3, 6})
        counted = dense.level.counted(origins, windows)
        self.means = or_longer({window: mean for window, (mean, _) in counted.items()})
        self.seen = counted[spec.lookback][1]
        self.level = self._level(self.means[spec.lookback])
        self.sizes = {
            lag: sizes.counted(origins, [spec.lookback, *dense.seasons]) for lag, sizes in dense.sizes.items()
        }
        square = dense.square.means(origins, [spec.lookback])[spec.lookback]
        self.spread = np.sqrt(np.fmax(square - self.means[spec.lookback] ** 2, 0.0))
        self.scale = self._scale()
        self.changes = {
            lag: or_longer(changes.means(origins, SPANS)) for lag, changes in dense.changes.items()
        }
        self.surprises = {
            season: or_longer(surprises.means(origins, [span for span in SURPRISES if span <= season]))
            for season, surprises in dense.surprises.items()
        }
        longest = dense.seasons[-1]
        self.surprise_size = dense.surprise_sizes.means(origins, [longest])[longest]

    def _level(self, mean: Floats) -> Floats:
        """Return the mean of the lookback; of one that vanished before it what it last was, else the others' median."""
        if not np.isnan(mean).any():
            return mean
        known = np.where(np.isnan(mean), self.dense.values(self.origins), mean)
        level: Floats = np.nan_to_num(np.where(np.isnan(known), median(known), known))
        return level

    def _scale(self) -> Floats:
        """Return how much a series changes from day to day; while hardly a day is known, how much it varies at all."""
        size, count = self.sizes[self.dense.day][self.dense.spec.lookback]
        known = np.minimum(count / self.dense.day, 1.0)
        own = known * np.nan_to_num(size) + (1 - known) * np.nan_to_num(self.spread)
        own = np.where(self.seen < FEW, np.nan, own)
        # Of too few values none can tell: it is taken to vary as others of its level do.
        level = np.abs(self.level)
        own = np.where(
            np.isnan(own),
            median(np.divide(own, level, out=np.full(own.shape, np.nan), where=level > 0)) * level,
            own,
        )
        own = np.where(own > 0, own, 0.0)
        floor = np.where(level > 0, LEAST * level, LEAST * median(np.where(own > 0, own, np.nan)))
        scale = np.fmax(own, floor)
        return np.where(scale > 0, scale, 1.0)

    def columns(self) -> Iterator[tuple[str, Floats]]:
        """Return the columns that are the same for all leads."""
        scale, day, week = self.scale, self.dense.day, self.dense.week
        for lag in self.dense.seasons:
            for span in SPANS:
                yield f"change on {lag}h, last {span}h", self.changes[lag][span] / scale
        for season, surprises in self.surprises.items():
            for span in sorted(surprises):
                yield f"surprise on {season}h, last {span}h", surprises[span] / scale
        yield "size of surprise", self.surprise_size / scale
        value = self.dense.values
        yield "step", (value(self.origins) - value(self.origins - 1)) / scale
        lookback = self.dense.spec.lookback
        for lag, window in self._size_windows(day, week, lookback):
            yield f"size of change on {lag}h, {window}h", self.sizes[lag][window][0] / scale
        yield "spread", self.spread / scale
        yield "level", self.level / scale

    @staticmethod
    def _size_windows(day: int, week: int, lookback: int) -> list[tuple[int, int]]:
        found = [(day, day), (1, lookback)]
        return found + ([(day, week), (week, lookback), (week, day)] if week else [])
