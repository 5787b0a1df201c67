"""Sums over the trailing rows of an array, by differences of running totals."""

from __future__ import annotations

import numpy as np

from forecasting.features.panel import Floats, Ints


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
        """Give, for each of `rows`, the sum of it and of the rows before, `count` of them; fewer at the start."""
        before = rows - count * self.step
        return self._totals[rows] - np.where((before >= 0)[:, None], self._totals[np.maximum(before, 0)], 0.0)

    def all(self, count: int) -> Floats:
        """The same for every row."""
        return self.at(np.arange(len(self._totals)), count)


def divide(a: Floats, b: Floats) -> Floats:
    """a / b, and NaN where b is not above zero."""
    result: Floats = np.divide(a, b, out=np.full(np.broadcast(a, b).shape, np.nan), where=b > 1e-9)
    return result


def repeats(hours: int, season: int) -> int:
    """How many whole seasons a number of hours holds, at least one."""
    return max(hours // season, 1)
