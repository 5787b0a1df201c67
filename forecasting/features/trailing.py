"""Sums and means over the trailing hours of a series."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from forecasting.features.panel import Floats, Ints

FEW = 6  # origins up to which summing their own rows is cheaper than running totals over all hours

Compute = Callable[[int, int], Floats]  # first row, row after the last -> values of these rows


class Trailing:
    """Sums of `values` (hours, entities) over the last rows that are `step` apart; NaN counts as nothing."""

    def __init__(self, values: Floats, step: int = 1) -> None:
        self.step = step
        hours, entities = values.shape
        periods = -(-hours // step)
        padded = np.zeros((periods * step, entities))
        padded[:hours] = np.nan_to_num(values)
        totals = np.cumsum(padded.reshape(periods, step, entities), axis=0)
        self._totals = totals.reshape(periods * step, entities)[:hours]

    def at(self, rows: Ints, count: int) -> Floats:
        """Return, for each of `rows`, the sum of it and of the rows before, `count` of them; fewer at the start."""
        before = rows - count * self.step
        return self._totals[rows] - np.where((before >= 0)[:, None], self._totals[np.maximum(before, 0)], 0.0)

    def all(self, count: int) -> Floats:
        """Return the same for every row."""
        return self.at(np.arange(len(self._totals)), count)


class Moments:
    """Means over trailing windows of something computed from the series: of few origins from their own rows, of many
    from running totals. NaN does not count, and where nothing was seen the mean is NaN.
    """

    def __init__(self, hours: int, compute: Compute) -> None:
        self._hours = hours
        self._compute = compute
        self._totals: tuple[Floats, Floats] | None = None

    def means(self, origins: Ints, windows: Sequence[int]) -> dict[int, Floats]:
        """Return window (hours) -> the means up to and including each of U origins, (U, entities)."""
        return {window: mean for window, (mean, _) in self.counted(origins, windows).items()}

    def counted(self, origins: Ints, windows: Sequence[int]) -> dict[int, tuple[Floats, Floats]]:
        """Return the same with the number of the values that each mean is of."""
        if len(origins) > FEW:
            return {window: self._by_totals(origins, window) for window in windows}
        found = [self._directly(int(origin), windows) for origin in origins]
        return {
            window: (np.stack([one[i][0] for one in found]), np.stack([one[i][1] for one in found]))
            for i, window in enumerate(windows)
        }

    def _directly(self, origin: int, windows: Sequence[int]) -> list[tuple[Floats, Floats]]:
        first = max(origin + 1 - max(windows), 0)
        rows = self._compute(first, max(origin + 1, first))
        return [_mean(rows[max(len(rows) - window, 0) :]) for window in windows]

    def _by_totals(self, origins: Ints, window: int) -> tuple[Floats, Floats]:
        if self._totals is None:
            values = self._compute(0, self._hours)
            there = ~np.isnan(values)
            self._totals = _totals(np.where(there, values, 0.0)), _totals(there)
        sums, counts = self._totals
        last = np.maximum(origins + 1, 0)
        first = np.maximum(last - window, 0)
        total, count = sums[last] - sums[first], counts[last] - counts[first]
        return np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0), count


def _mean(rows: Floats) -> tuple[Floats, Floats]:
    total = rows.sum(axis=0)
    holes = np.isnan(total)
    count = np.full(total.shape, float(len(rows)))
    if holes.any():
        some = rows[:, holes]
        total[holes], count[holes] = np.nansum(some, axis=0), (~np.isnan(some)).sum(axis=0)
    return np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0), count


def _totals(values: np.ndarray) -> Floats:
    totals = np.zeros((len(values) + 1, values.shape[1]))
    np.cumsum(values, axis=0, out=totals[1:])
    return totals
