"""What followed earlier days that went like the last one: a forecast by nearest neighbours, as a feature.

Compared are the shapes of the last hours: the values less their mean, in scales. A day counts the more the nearer it
is; one that is whole weeks back counts more than others, as what follows it is the same weekday. What followed is
moved by the difference of the two means. (The method of analogues, Lorenz 1969, with weights.)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from forecasting.features.panel import Floats, Ints

NEAREST = 0.02  # scales: days that are nearer than this are all alike
SEEN = 0.25  # of the hours that are compared must be seen


@dataclass(frozen=True, slots=True)
class Likeness:
    """How days are compared."""

    name: str
    days: int  # whose shape is compared
    power: int  # how much less a day counts that is farther off
    same_weekday: int  # how much more one counts that is whole weeks back


LIKENESSES = (
    Likeness("any weekday", 1, 4, 1),
    Likeness("same weekday", 1, 4, 5),
    Likeness("two days", 2, 6, 5),
)


class Origins(Protocol):
    """What is known at U different origins."""

    origins: Ints  # row numbers
    level: Floats  # (U, entities)
    scale: Floats  # (U, entities)


class Analogs:
    """The days of a series within the lookback, that its last day is compared to."""

    def __init__(self, y: Floats, day: int, week: int, lookback: int) -> None:
        self._y, self._day = y, day
        self._reach = max(one.days for one in LIKENESSES)
        self.count = max(lookback // day - self._reach, 0)  # days that are compared
        back = day * np.arange(1, self.count + 1)
        self._weekly = (back % week == 0) if week else np.zeros(self.count, np.bool_)

    def at(
        self, state: Origins, which: Ints, days: Ints, base: Floats, value: Callable[[Ints], Floats]
    ) -> tuple[dict[str, Floats], Floats]:
        """Return what each likeness forecasts, and the distance of the nearest day, (R, entities) each.

        which    of the U origins each of R targets has
        days     the least number of days that each target must go back, (R,)
        base     what an hour that is missing counts as, (R, entities)
        value    gives the series some hours before each target
        """
        weights, moves, distances = self._compared(state)
        first = np.minimum(days - 1, self.count)
        chosen = first, slice(None), which
        counts = _from_each_on(weights, np.add, 0.0)[chosen]
        sums = _from_each_on(weights * moves, np.add, 0.0)[chosen]
        for back in range(int(days.min(initial=1)), self.count + 1):
            then = value(np.full(len(days), back * self._day))
            if (missing := np.isnan(then)).any():
                then = np.where(missing, base, then)
            rows = slice(None) if back >= days.max(initial=1) else np.flatnonzero(days <= back)
            for i, weight in enumerate(weights[back - 1]):
                sums[rows, i] += (weight if len(weight) == 1 else weight[which[rows]]) * then[rows]
        found = np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=counts > 0)
        nearest = _from_each_on(distances, np.fmin, np.nan)[first, which]
        return {one.name: found[:, i] for i, one in enumerate(LIKENESSES)}, nearest

    def _compared(self, state: Origins) -> tuple[Floats, Floats, Floats]:
        """Return weights and moves of the days by each likeness, (days, likenesses, U, entities), and distances by the
        first one, (days, U, entities).

        Hours that either day lacks do not count; a day of which too few are left has no weight.
        """
        moments = [
            self._moments(int(origin), state.level[i], state.scale[i])
            for i, origin in enumerate(state.origins)
        ]
        means, squares = (np.stack([found[j] for found in moments], axis=2) for j in (0, 1))
        distances = np.sqrt(np.maximum(squares - means**2, 0.0))  # NaN stays
        weights, moves = [], []
        for one in LIKENESSES:
            weight = (NEAREST + distances[one.days - 1]) ** -one.power
            weight[self._weekly] *= one.same_weekday
            weights.append(np.nan_to_num(weight))
            moves.append(np.nan_to_num(means[one.days - 1] * state.scale))
        return np.stack(weights, axis=1), np.stack(moves, axis=1), distances[LIKENESSES[0].days - 1]

    def _moments(self, origin: int, level: Floats, scale: Floats) -> tuple[Floats, Floats]:
        """Return the means of the differences to each day back, and of their squares: over one day, two days, ...

        In scales, (lengths, days, entities) each.
        """
        day, blocks = self._day, self.count + self._reach
        rows = origin + 1 - day * blocks + np.arange(day * blocks)
        y = (self._y[np.maximum(rows, 0)] - level) / scale
        y[rows < 0] = np.nan
        y = y.reshape(blocks, day, -1)[::-1]  # the last day first
        each = [_differences(y[i], y[i + 1 : i + 1 + self.count]) for i in range(self._reach)]
        count, total, square = np.cumsum(each, axis=0).transpose(1, 0, 2, 3)
        least = SEEN * day * np.arange(1, self._reach + 1)
        count = np.where(count >= least[:, None, None], count, np.nan)
        return total / count, square / count


def _from_each_on(values: Floats, combine: np.ufunc, nothing: float) -> Floats:
    """Combine each day's values with those of all days before it; the last row is that of no day at all."""
    found = combine.accumulate(values[::-1], axis=0)[::-1]
    return np.concatenate([found, np.full_like(values[:1], nothing)])


def _differences(now: Floats, then: Floats) -> Floats:
    """Return count, sum and sum of squares of the differences of a day, (hours, E), to others, (days, hours, E)."""
    count = np.full((len(then), then.shape[2]), float(len(now)))
    total = now.sum(axis=0) - then.sum(axis=1)
    square = (
        (now * now).sum(axis=0)
        + np.einsum("dhe,dhe->de", then, then)
        - 2 * np.einsum("he,dhe->de", now, then)
    )
    holes = np.isnan(total).any(axis=0)
    if holes.any():
        difference = now[:, holes] - then[:, :, holes]
        there = ~np.isnan(difference)
        difference[~there] = 0.0
        count[:, holes], total[:, holes] = there.sum(axis=1), difference.sum(axis=1)
        square[:, holes] = (difference**2).sum(axis=1)
    return np.stack([count, total, square])
