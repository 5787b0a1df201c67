"""Features of series with many missing hours, or with observations of different weight.

What a target is measured from, its *base*, is the entity's trailing weighted mean; its unit, the *scale*, is the mean
distance from it. Means of the same hour in earlier days and weeks are drawn towards that level, the more the fewer
observations they are of, and each mean comes with its weight.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

import numpy as np
import numpy.typing as npt

from forecasting.features.arrays import divide
from forecasting.features.calendar import Clock
from forecasting.features.panel import Floats, Ints, Panel
from forecasting.features.spec import FeatureSpec
from forecasting.features.trailing import Trailing

Column = tuple[str, npt.ArrayLike]

PRIOR = 4.0  # a profile's hour counts as so many usual observations of the level, before any of its own


class Sparse:
    """The columns of one panel."""

    def __init__(self, panel: Panel, spec: FeatureSpec) -> None:
        self.panel = panel
        self.spec = spec
        self.base = spec.base or spec.seasons[0]
        self._clock = Clock(panel.hours, spec.timezone, spec.horizon)
        self._sums = Trailing(panel.y * panel.weight)
        self._weights = Trailing(panel.weight)
        self._profiles = {
            season: Profile(panel, season, repeats(spec.lookback, season)) for season in spec.seasons
        }

    def at(self, origins: Ints, leads: Ints) -> tuple[Floats, Floats, Iterator[Column]]:
        """Return base and scale, (R, entities) each, and the columns, each of a shape that broadcasts to theirs."""
        level, scale = self.level[origins], self.scale[origins]
        return level, scale, self._columns(origins, leads, level, scale)

    @cached_property
    def level(self) -> Floats:
        """Each entity's weighted mean over the last `base` hours, (hours, entities).

        Where nothing was seen in them that of the lookback, and before that the panel's.
        """
        recent = divide(self._sums.all(self.base), self._weights.all(self.base))
        sums, weights = self._sums.all(self.spec.lookback), self._weights.all(self.spec.lookback)
        longer = divide(sums, weights)
        common = divide(sums.sum(axis=1, keepdims=True), weights.sum(axis=1, keepdims=True))
        level = np.where(np.isnan(recent), longer, recent)
        return np.nan_to_num(np.where(np.isnan(level), common, level))

    @cached_property
    def scale(self) -> Floats:
        """Each entity's mean distance from its level over the lookback, always above zero.

        An entity without any past has that of the panel. One that never varied has a thousandth of its level, or of
        the panel's scale: what is learned from others then moves it by next to nothing.
        """
        distance = np.abs(self.panel.y - self.level) * self.panel.weight
        sums, weights = Trailing(distance).all(self.spec.lookback), self._weights.all(self.spec.lookback)
        common = divide(sums.sum(axis=1, keepdims=True), weights.sum(axis=1, keepdims=True))
        own = divide(sums, weights)
        scale = np.where(np.isnan(own), common, np.fmax(own, 1e-3 * np.abs(self.level)))
        scale = np.where(scale > 0, scale, 1e-3 * common)
        return np.where(scale > 0, scale, 1.0)

    @cached_property
    def usual_weight(self) -> Floats:
        """The mean weight of an entity's observations over the lookback, (hours, entities)."""
        seen = Trailing((self.panel.weight > 0).astype(np.float64)).all(self.spec.lookback)
        return np.nan_to_num(divide(self._weights.all(self.spec.lookback), seen))

    @cached_property
    def _surprise(self) -> Trailing:
        """Each observation less what the main season's profile told a period before, times its weight."""
        season = self.spec.seasons[0]
        rows = np.arange(len(self.panel))
        told = np.full_like(self.panel.y, np.nan)
        if len(rows) > season:
            told[season:] = self._profile(season, rows[:-season])
        told = np.where(np.isnan(told), self.level, told)
        return Trailing((self.panel.y - told) * self.panel.weight)

    def _profile(self, season: int, rows: Ints) -> Floats:
        """Return the mean of the same hour in the seasons up to and including `rows`, drawn towards the level there."""
        sums, weights = self._profiles[season].at(rows)
        prior = PRIOR * self.usual_weight[rows]
        return divide(sums + prior * self.level[rows], weights + prior)

    def _columns(self, origins: Ints, leads: Ints, level: Floats, scale: Floats) -> Iterator[Column]:
        yield from self._recent(origins, level, scale)
        yield from self._same_hour(origins, leads, level, scale)
        yield "hour", self._clock.hour[origins + leads][:, None]
        yield "weekday", self._clock.weekday[origins + leads][:, None]
        yield "lead", leads[:, None]

    def _recent(self, origins: Ints, level: Floats, scale: Floats) -> Iterator[Column]:
        """Return how the last hours stand to the level, and to what was to be expected of these hours."""
        yield "level", level / scale
        for span in self.spec.spans:
            weight = self._weights.at(origins, span)
            relative = (divide(self._sums.at(origins, span), weight) - level) / scale
            yield f"mean {span}h", relative
            yield f"weight {span}h", weight
            if span <= self.spec.seasons[0]:
                yield f"surprise {span}h", divide(self._surprise.at(origins, span), weight) / scale
                yield f"mean {span}h of all", mean_of_all(relative, weight)

    def _same_hour(self, origins: Ints, leads: Ints, level: Floats, scale: Floats) -> Iterator[Column]:
        """Return the target's hour in earlier seasons: the last one, and the mean of all."""
        for season in self.spec.seasons:
            rows = np.minimum(self._clock.back(origins + leads, season * -(-leads // season)), origins)
            seen = np.maximum(rows, 0)
            there = (rows >= 0)[:, None]
            yield f"last {season}h", (np.where(there, self.panel.y[seen], np.nan) - level) / scale
            yield f"profile {season}h", (np.where(there, self._profile(season, seen), np.nan) - level) / scale
            yield f"profile weight {season}h", np.where(there, self._profiles[season].at(seen)[1], 0.0)


def mean_of_all(values: Floats, weight: Floats | None = None) -> Floats:
    """Return the mean over the entities, shape (R, 1); those without a value do not count."""
    there = ~np.isnan(values)
    weight = there.astype(np.float64) if weight is None else weight * there
    return divide((np.nan_to_num(values) * weight).sum(axis=1), weight.sum(axis=1))[:, None]


class Profile:
    """Sums of the same hour in the last seasons."""

    def __init__(self, panel: Panel, season: int, count: int) -> None:
        self._sums = Trailing(panel.y * panel.weight, season)
        self._weights = Trailing(panel.weight, season)
        self._count = count

    def at(self, rows: Ints) -> tuple[Floats, Floats]:
        """Return the sum of the weighted values and that of the weights, of `rows` and the seasons before."""
        return self._sums.at(rows, self._count), self._weights.at(rows, self._count)


def repeats(hours: int, season: int) -> int:
    """Return how many whole seasons a number of hours holds, at least one."""
    return max(hours // season, 1)
