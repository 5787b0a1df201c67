"""Features of models that belong to one entity each: earlier values of the series, all entities in one array.

Each is the value at a row that the origin and the lead alone decide, or a trailing mean up to the origin. So the
rows are looked up once, and one `take` gives the features of a whole block of entities. They are measured from the
same hour of the last season that is known, the *base*, in units of the mean change from season to season, the
*scale*. Hours that are missing hold the value of a season before.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from forecasting.features.arrays import divide
from forecasting.features.panel import Floats, Ints
from forecasting.features.trailing import Trailing

Rows32 = npt.NDArray[np.float32]

DAYS, WEEKS = 6, 3  # so many earlier seasons of each kind are looked at
SPANS = (1, 3, 6, 12, 24, 48)  # hours over which the change since a season before is averaged
SCALE = 672  # hours over which the scale is measured
FEW = 6  # origins up to which their own rows are summed
LEAST = 1e-3  # of a series' size is its scale at least


@dataclass(frozen=True, slots=True)
class Lagged:
    """Features of E entities at R origins and leads."""

    x: Rows32  # (E, R, features): from the base, in scales
    base: Floats  # (E, R)
    scale: Floats  # (E, R): above zero


class Lags:
    """Which features there are, for some seasons: the first is the main one (a day), the last the longest (a week)."""

    def __init__(self, seasons: tuple[int, ...]) -> None:
        self.day, self.week = seasons[0], seasons[-1] if len(seasons) > 1 else 0

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the features."""
        nothing = np.zeros(0, np.int64)
        levels = tuple(name for name, _ in self._levels(nothing, nothing))
        means = tuple(f"mean {season}h" for season in self._seasons())
        return levels + means + tuple(f"change {s}h mean {span}h" for s in self._seasons() for span in SPANS)

    def mixing(self) -> Floats:
        """Return (features, columns): what a model is fitted to are these mixtures of the features, and a constant.

        They say the same as the features, but the coefficients of the mixtures that matter most stay small: how the
        series changed over the same stretch in earlier weeks, and last week's value at this week's level.
        """
        names = self.names
        place = {name: i for i, name in enumerate(names)}
        columns = [np.eye(len(names))[i] for i, name in enumerate(names) if not name.startswith("before")]
        if self.week:
            spans = np.zeros((WEEKS, len(names)))
            for back in range(WEEKS):
                spans[back, place[f"week {back + 1}"]] = 1.0
                spans[back, place[f"before week {back + 1}"]] = -1.0
            level = np.zeros(len(names))
            level[[place["week 1"], place[f"change {self.week}h mean {self.day}h"]]] = 1.0
            columns += [spans[0], spans.mean(axis=0), level]
        return np.array(columns).T

    def at(self, y: Floats, origins: Ints, leads: Ints) -> Lagged:
        """Return the features of y (hours, entities) at R origins (rows) and leads."""
        different, which = np.unique(origins, return_inverse=True)
        scale = self._scale(y, different)[which].T
        y = filled(y, self.day)
        hours = len(y)
        recent = np.concatenate([*self._means(y, different), *self._changes(y, different)])
        # Four bytes are enough: what matters is the distance in scales, of which a value has a few thousand at most.
        source = np.ascontiguousarray(np.concatenate([y, recent]).T, np.float32)
        base_rows = self.base_rows(origins, leads, hours)
        levels = [self._wrapped(rows, hours) for _, rows in self._levels(origins, leads)]
        means = [hours + len(different) * i + which for i in range(len(recent) // len(different))]
        x = np.take(source, np.stack([*levels, *means], axis=1), axis=1)
        base = y[base_rows].T
        x[..., : len(levels) + len(self._seasons())] -= base.astype(np.float32)[..., None]
        x /= scale.astype(np.float32)[..., None]
        return Lagged(x, base, scale)

    def base_rows(self, origins: Ints, leads: Ints, hours: int) -> Ints:
        """Return the row of each base in a history of so many hours."""
        return self._wrapped(self._base(origins, leads), hours)

    def _base(self, origins: Ints, leads: Ints) -> Ints:
        return origins + leads - self._whole(leads, self.day)

    def _levels(self, origins: Ints, leads: Ints) -> Iterator[tuple[str, Ints]]:
        """Return the rows of those features that are measured from the base."""
        targets, base = origins + leads, self._base(origins, leads)
        for back in range(1, DAYS + 1):
            yield f"day {back}", base - back * self.day
        yield "hour before", base - 1
        yield "hour after", np.where(base < origins, base + 1, base)
        yield "last", origins
        if self.week:
            span = self._whole(leads, self.day)
            for back in range(1, WEEKS + 1):
                same = targets - self._whole(leads, self.week) - (back - 1) * self.week
                yield f"week {back}", same
                yield f"before week {back}", same - span

    def _means(self, y: Floats, origins: Ints) -> Iterator[Floats]:
        """Return the mean over each season up to the origins, (origins, entities)."""
        mean = Means(y, max(self._seasons()), origins)
        yield from (mean.over(season) for season in self._seasons())

    def _changes(self, y: Floats, origins: Ints) -> Iterator[Floats]:
        """Mean changes since a season before, up to the origins."""
        for lag in self._seasons():
            mean = Means(_change(y, lag, 0.0), max(SPANS), origins)
            yield from (mean.over(span) for span in SPANS)

    def _scale(self, y: Floats, origins: Ints) -> Floats:
        """Return the mean change from season to season over the last hours, (origins, entities)."""
        change = Means(np.abs(_change(y, self.day, np.nan)), SCALE, origins).over(SCALE)
        size = Means(np.abs(y), SCALE, origins).over(SCALE)
        scale = np.where(np.isnan(change), size, np.fmax(change, LEAST * size))
        return np.where(scale > 0, scale, 1.0)

    def _seasons(self) -> tuple[int, ...]:
        return (self.day, self.week) if self.week else (self.day,)

    def _wrapped(self, rows: Ints, length: int) -> Ints:
        """Rows before the first one: the same hour of the first whole season."""
        season = self.week if 0 < self.week <= length else self.day
        found: Ints = np.where(rows < 0, rows % season, rows)
        return np.minimum(found, length - 1)

    @staticmethod
    def _whole(leads: Ints, season: int) -> Ints:
        """Return the whole seasons that hold each lead, in hours."""
        hours: Ints = season * -(-leads // season)
        return hours


class Means:
    """Means over the hours up to each of some origins; NaN does not count."""

    def __init__(self, values: Floats, longest: int, origins: Ints) -> None:
        self._origins = origins
        self._few = len(origins) <= FEW
        if self._few:  # summing their own rows is cheaper than running totals over all
            self._rows = [values[max(origin + 1 - longest, 0) : origin + 1] for origin in origins.tolist()]
            return
        there = ~np.isnan(values)
        self._sums = Trailing(values)
        self._counts = Trailing(there.astype(np.float64)) if not there.all() else None

    def over(self, hours: int) -> Floats:
        """Return the means over the last hours, (origins, entities)."""
        if self._few:
            return np.stack([_mean(rows[max(len(rows) - hours, 0) :]) for rows in self._rows])
        sums = self._sums.at(self._origins, hours)
        if self._counts is None:
            known: Floats = np.minimum(self._origins + 1, hours)[:, None].astype(np.float64)
            return sums / known
        return divide(sums, self._counts.at(self._origins, hours))


def _mean(rows: Floats) -> Floats:
    """Return the mean of each column."""
    total: Floats = rows.sum(axis=0)
    if not np.isnan(total).any():
        return total / max(len(rows), 1)
    return divide(np.nansum(rows, axis=0), (~np.isnan(rows)).sum(axis=0))


def _change(y: Floats, lag: int, first: float) -> Floats:
    """Return the values less those `lag` rows before."""
    change = np.full_like(y, first)
    np.subtract(y[lag:], y[:-lag], out=change[lag:])
    return change


def filled(y: Floats, season: int) -> Floats:
    """Fill what is missing with the value a season before, and what lies before the first ones with the first season.

    An hour of the season that was never seen has the value of the hour before.
    """
    if not np.isnan(y).any():
        return y
    result = y.copy()
    for row in range(season, len(result), season):
        part, before = result[row : row + season], result[row - season : row]
        np.copyto(part, before[: len(part)], where=np.isnan(part))
    for row in range((len(result) - 1) // season * season, 0, -season):
        part, after = result[row - season : row], result[row : row + season]
        np.copyto(part[: len(after)], after, where=np.isnan(part[: len(after)]))
    holes = np.isnan(result)
    if holes.any():
        rows = np.maximum.accumulate(np.where(holes, -1, np.arange(len(y))[:, None]), axis=0)
        result = np.where(rows < 0, 0.0, np.take_along_axis(result, np.maximum(rows, 0), axis=0))
    return result
