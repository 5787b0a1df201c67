"""Features of hourly series, for all entities at once; the same code for training and for prediction.

A row is about one entity, the hour in which a forecast is issued (its *origin*) and a lead. What it holds was known
at the end of the origin's hour. Every value that comes from the series is relative to the entity: its distance from
the trailing level, in units of the trailing scale. So one model serves many entities, small and large.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pandas as pd

from forecasting.panel import Floats, Ints, Panel
from forecasting.trailing import Trailing, divide, repeats

PRIOR = 4.0  # a profile's hour counts as so many usual observations of the level, before any of its own


@dataclass(frozen=True, slots=True)
class FeatureSpec:
    """Which features are made. A saved model holds its own.

    horizon   the largest lead, in hours
    lookback  how many hours of the past are looked at; more change nothing
    base      hours whose mean is the level that values are measured from: few where levels wander, many where they
              return
    seasons   periods in hours; the first is the main one
    spans     lengths in hours over which the recent past is averaged
    timezone  whose clock and weekdays people live by
    past      names of the panel's other series that are used
    """

    horizon: int = 24
    lookback: int = 672
    base: int = 24
    seasons: tuple[int, ...] = (24, 168)
    spans: tuple[int, ...] = (1, 3, 6, 24, 168)
    timezone: str = "UTC"
    past: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Rows:
    """Features of (R origins and leads) x (E entities), entities running fastest."""

    x: npt.NDArray[np.float32]  # (R * E, features)
    base: Floats  # (R, E): what a target is measured from
    scale: Floats  # (R, E): its unit, above zero


class Features:
    """The features of one panel; `at` gives them for any origins and leads."""

    def __init__(self, panel: Panel, spec: FeatureSpec) -> None:
        self.panel = panel
        self.spec = spec
        self._sums = Trailing(panel.y * panel.weight)
        self._weights = Trailing(panel.weight)
        self._profiles = {
            season: Profile(panel, season, repeats(spec.lookback, season)) for season in spec.seasons
        }

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the columns."""
        origin = np.array([len(self.panel) - 1])
        return tuple(name for name, _ in self._columns(origin, np.array([1])))

    def at(self, origins: Ints, leads: Ints) -> Rows:
        """Give the rows for R origins (row numbers of the panel) and as many leads (hours, 1 or more)."""
        shape = (len(origins), len(self.panel.entities))
        columns = [
            np.broadcast_to(np.asarray(values, np.float32), shape)
            for _, values in self._columns(origins, leads)
        ]
        x = np.stack(columns, axis=-1).reshape(shape[0] * shape[1], len(columns))
        return Rows(x, self.level[origins], self.scale[origins])

    @cached_property
    def level(self) -> Floats:
        """Each entity's weighted mean over the last `base` hours, (hours, entities).

        Where nothing was seen in them that of the lookback, and before that the panel's.
        """
        recent = divide(self._sums.all(self.spec.base), self._weights.all(self.spec.base))
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
        """The mean of the same hour in the seasons up to and including `rows`, drawn towards the level there."""
        sums, weights = self._profiles[season].at(rows)
        prior = PRIOR * self.usual_weight[rows]
        return divide(sums + prior * self.level[rows], weights + prior)

    def _columns(self, origins: Ints, leads: Ints) -> Iterator[tuple[str, npt.ArrayLike]]:
        level, scale = self.level[origins], self.scale[origins]
        yield from self._recent(origins, level, scale)
        yield from self._same_hour(origins, leads, level, scale)
        for name in self.spec.past:
            now = self.panel.past[name][origins]
            yield name, now
            yield f"{name} of all", _mean(now)
        yield from self._calendar(origins + leads)
        yield "lead", leads[:, None]

    def _recent(self, origins: Ints, level: Floats, scale: Floats) -> Iterator[tuple[str, npt.ArrayLike]]:
        """How the last hours stand to the level, and to what was to be expected of these hours."""
        yield "level", level / scale
        for span in self.spec.spans:
            weight = self._weights.at(origins, span)
            relative = (divide(self._sums.at(origins, span), weight) - level) / scale
            yield f"mean {span}h", relative
            yield f"weight {span}h", weight
            if span <= self.spec.seasons[0]:
                yield f"surprise {span}h", divide(self._surprise.at(origins, span), weight) / scale
                yield f"mean {span}h of all", _mean(relative, weight)

    def _same_hour(
        self, origins: Ints, leads: Ints, level: Floats, scale: Floats
    ) -> Iterator[tuple[str, npt.ArrayLike]]:
        """The target's hour in earlier seasons: the last one, and the mean of all."""
        for season in self.spec.seasons:
            rows = origins + leads - season * -(-leads // season)
            seen = np.maximum(rows, 0)
            there = (rows >= 0)[:, None]
            yield f"last {season}h", (np.where(there, self.panel.y[seen], np.nan) - level) / scale
            yield f"profile {season}h", (np.where(there, self._profile(season, seen), np.nan) - level) / scale
            yield f"profile weight {season}h", np.where(there, self._profiles[season].at(seen)[1], 0.0)

    def _calendar(self, targets: Ints) -> Iterator[tuple[str, npt.ArrayLike]]:
        hours = self.panel.hours[0] + pd.to_timedelta(targets, unit="h")
        local = hours.tz_convert(self.spec.timezone)
        yield "hour", np.asarray(local.hour)[:, None]
        yield "weekday", np.asarray(local.day_of_week)[:, None]


def _mean(values: Floats, weight: Floats | None = None) -> Floats:
    """The mean over the entities, shape (R, 1); those without a value do not count."""
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
        """Give the sum of the weighted values and that of the weights, of `rows` and the seasons before."""
        return self._sums.at(rows, self._count), self._weights.at(rows, self._count)
