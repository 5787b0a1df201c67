"""Features of series that are seen in nearly every hour.

What a target is measured from, its *base*, is the same hour of the last day (of the first season, whatever its
length); its unit, the *scale*, is by how much the series usually changes from one day to the next. Beside the same
hour of earlier days and weeks the features tell how the last hours compare to the same hours a day and a week
before, over several lengths: that is what moves the next ones.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
import numpy.typing as npt

from forecasting.clock import Clock
from forecasting.moments import Moments
from forecasting.panel import Floats, Ints, Panel
from forecasting.spec import FeatureSpec
from forecasting.trailing import divide

Column = tuple[str, npt.ArrayLike]

SPANS = (1, 2, 3, 6, 12, 24, 48)  # hours over which the recent past is compared to a day and a week before
DAYS, WEEKS = 7, 3  # how many of them are looked at one by one
FEW = 3  # observations of which no scale can be told
STEEPEST = 10.0  # growth that is believed
LEAST = 1e-3  # of its level is the scale of a series that never changed


class Dense:
    """The columns of one panel. What is missing in it is NaN in them."""

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

    def at(self, origins: Ints, leads: Ints) -> tuple[Floats, Floats, Iterator[Column]]:
        """Give base and scale, (R, entities) each, and the columns, each of a shape that broadcasts to theirs."""
        different, which = np.unique(origins, return_inverse=True)
        state = _State(self, different, which)
        targets = _Targets(self, origins, leads, state)
        return targets.base, targets.scale, _columns(state, targets)

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


def _columns(state: _State, targets: _Targets) -> Iterator[Column]:
    for name, values in state.columns():
        # Of one origin one row is enough.
        yield name, values if len(values) == 1 else values[state.which]
    yield from targets.columns()


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


class _State:
    """What does not depend on the lead, at U different origins: arrays of shape (U, entities)."""

    def __init__(self, dense: Dense, origins: Ints, which: Ints) -> None:
        self.dense, self.origins, self.which = dense, origins, which
        spec = dense.spec
        windows = sorted({spec.lookback, *dense.seasons, 3, 6})
        counted = dense.level.counted(origins, windows)
        self.means = _or_longer({window: mean for window, (mean, _) in counted.items()})
        self.seen = counted[spec.lookback][1]
        self.level = self._level(self.means[spec.lookback])
        self.sizes = {
            lag: sizes.counted(origins, [spec.lookback, *dense.seasons]) for lag, sizes in dense.sizes.items()
        }
        square = dense.square.means(origins, [spec.lookback])[spec.lookback]
        self.spread = np.sqrt(np.fmax(square - self.means[spec.lookback] ** 2, 0.0))
        self.scale = self._scale()
        self.changes = {
            lag: _or_longer(changes.means(origins, SPANS)) for lag, changes in dense.changes.items()
        }

    def _level(self, mean: Floats) -> Floats:
        """The mean of the lookback; of an entity that vanished before it what it last was, else the others' median."""
        if not np.isnan(mean).any():
            return mean
        known = np.where(np.isnan(mean), self.dense.values(self.origins), mean)
        level: Floats = np.nan_to_num(np.where(np.isnan(known), _median(known), known))
        return level

    def _scale(self) -> Floats:
        """How much a series changes from day to day; while hardly a day is known, how much it varies at all."""
        size, count = self.sizes[self.dense.day][self.dense.spec.lookback]
        known = np.minimum(count / self.dense.day, 1.0)
        own = known * np.nan_to_num(size) + (1 - known) * np.nan_to_num(self.spread)
        own = np.where(self.seen < FEW, np.nan, own)
        # Of too few values none can tell: it is taken to vary as others of its level do.
        level = np.abs(self.level)
        own = np.where(
            np.isnan(own),
            _median(np.divide(own, level, out=np.full(own.shape, np.nan), where=level > 0)) * level,
            own,
        )
        own = np.where(own > 0, own, 0.0)
        floor = np.where(level > 0, LEAST * level, LEAST * _median(np.where(own > 0, own, np.nan)))
        scale = np.fmax(own, floor)
        return np.where(scale > 0, scale, 1.0)

    def columns(self) -> Iterator[tuple[str, Floats]]:
        """The columns that are the same for all leads."""
        scale, day, week = self.scale, self.dense.day, self.dense.week
        for lag in self.dense.seasons:
            for span in SPANS:
                yield f"change on {lag}h, last {span}h", self.changes[lag][span] / scale
        value = self.dense.values
        for lag in (0, *self.dense.seasons):
            step = value(self.origins - lag) - value(self.origins - lag - 1)
            yield f"step {lag}h ago", step / scale
        lookback = self.dense.spec.lookback
        for lag, window in self._size_windows(day, week, lookback):
            yield f"size of change on {lag}h, {window}h", self.sizes[lag][window][0] / scale
        yield "spread", self.spread / scale
        yield "level", self.level / scale

    @staticmethod
    def _size_windows(day: int, week: int, lookback: int) -> list[tuple[int, int]]:
        found = [(day, day), (1, lookback)]
        return found + ([(day, week), (week, lookback), (week, day)] if week else [])


class _Targets:
    """What is known about the target's hour, for R origins and leads: arrays of shape (R, entities)."""

    def __init__(self, dense: Dense, origins: Ints, leads: Ints, state: _State) -> None:
        self.dense, self.origins, self.leads, self.state = dense, origins, leads, state
        self.rows = origins + leads
        self.days = dense.day * -(-leads // dense.day)
        self.weeks = dense.week * -(-leads // dense.week) if dense.week else self.days
        self.scale = state.scale[state.which]
        self.base = self._base()

    def value(self, back: Ints, shift: int = 0) -> Floats:
        """The series so many whole days before the target's hour by the clock, or `shift` hours later."""
        return self.dense.values(np.minimum(self.dense.clock.back(self.rows, back) + shift, self.origins))

    def _base(self) -> Floats:
        """The same hour of the newest day that has one, else the level."""
        base = self.value(self.days)
        for back in range(self.dense.day, self.dense.spec.lookback, self.dense.day):
            holes = np.isnan(base)
            if not holes.any():
                return base
            base = np.where(holes, self.value(self.days + back), base)
        return np.where(np.isnan(base), self.state.level[self.state.which], base)

    def columns(self) -> Iterator[Column]:
        """The columns that depend on the lead; what is about values is relative to base and scale."""
        for name, values in self._values():
            yield name, (values - self.base) / self.scale
        for name, values in self._changes():
            yield name, values / self.scale
        yield "base", self.base / self.scale
        yield "hour", self.dense.clock.hour[self.rows][:, None]
        yield "weekday", self.dense.clock.weekday[self.rows][:, None]
        if self.dense.week:
            yield "hour of week", (self.dense.clock.weekday * 24 + self.dense.clock.hour)[self.rows][:, None]
        yield "lead", self.leads[:, None]

    def _values(self) -> Iterator[tuple[str, Floats]]:
        state, which, day = self.state, self.state.which, self.dense.day
        same = [self.value(self.days + day * k) for k in range(DAYS)]
        yield from ((f"{day}h back, {k} more", same[k]) for k in range(1, DAYS))
        yield f"{day}h back, mean", _mean(same)
        for shift in (-2, -1, 1, 2):
            yield f"{day}h back, {shift:+d}h", self.value(self.days, shift)
        yield "last", self.dense.values(self.origins)
        for window in sorted(state.means):
            yield f"mean {window}h", state.means[window][which]
        if self.dense.week:
            yield from self._weekly()
        recent = state.means[day]
        before = self.dense.level.means(state.origins - day, [day])[day]
        yield f"{day}h back, times growth", self.base * _ratio(recent, before)[which]

    def _weekly(self) -> Iterator[tuple[str, Floats]]:
        state, which, week, day = self.state, self.state.which, self.dense.week, self.dense.day
        same = [self.value(self.weeks + week * k) for k in range(WEEKS)]
        yield from ((f"{week}h back, {k} more", same[k]) for k in range(WEEKS))
        yield f"{week}h back, mean", _mean([*same, self.value(self.weeks + week * WEEKS)])
        for shift in (-1, 1):
            yield f"{week}h back, {shift:+d}h", self.value(self.weeks, shift)
        for span in SPANS:
            yield f"{week}h back, moved by {span}h", same[0] + state.changes[week][span][which]
        before = self.dense.level.means(state.origins - week, [6, day])
        for window in (6, day):
            growth = _ratio(state.means[window], before[window])[which]
            yield f"{week}h back, times growth of {window}h", same[0] * growth

    def _changes(self) -> Iterator[tuple[str, Floats]]:
        """How the series changed over the same span in earlier weeks and days."""
        day = self.dense.day
        if week := self.dense.week:
            changes = [
                self.value(self.weeks + week * k) - self.value(self.weeks + week * k + self.days)
                for k in range(WEEKS)
            ]
            yield from ((f"change {k + 1} weeks ago", changes[k]) for k in range(WEEKS))
            yield "mean change of weeks", _mean(changes)
            for shift in (-1, 1):
                change = self.value(self.weeks, shift) - self.value(self.weeks + self.days, shift)
                yield f"change a week ago, {shift:+d}h", change
        daily = [
            self.value(self.days + day * k) - self.value(2 * self.days + day * k) for k in range(1, DAYS - 1)
        ]
        yield "change a day ago", daily[0]
        yield "change two days ago", daily[1]
        yield "mean change of days", sum(daily[1:], start=daily[0]) / len(daily)


def _mean(values: Sequence[Floats]) -> Floats:
    """The mean of several arrays of one shape, of what is there."""
    total, count = np.zeros_like(values[0]), np.zeros_like(values[0])
    for one in values:
        there = ~np.isnan(one)
        np.add(total, one, out=total, where=there)
        count += there
    return divide(total, count)


def _ratio(a: Floats, b: Floats) -> Floats:
    """a / b where both are above zero, within bounds; else NaN."""
    known = (a > 0) & (b > 0)
    ratio: Floats = np.divide(a, b, out=np.full(a.shape, np.nan), where=known)
    return np.clip(ratio, 1 / STEEPEST, STEEPEST, out=ratio)


def _median(values: Floats) -> Floats:
    """The median over the entities, shape (U, 1); NaN where none has a value."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return np.nanmedian(values, axis=1, keepdims=True)


def _or_longer(means: dict[int, Floats]) -> dict[int, Floats]:
    """Put the mean of the next longer window where nothing was seen in one."""
    result: dict[int, Floats] = {}
    longer: Floats | None = None
    for window in sorted(means, reverse=True):
        own = means[window]
        result[window] = longer = own if longer is None else np.where(np.isnan(own), longer, own)
    return result
