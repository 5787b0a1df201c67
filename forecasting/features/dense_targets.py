"""Features of dense series that are about the target's hour: the same hour of earlier days and weeks."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, pairwise

import numpy as np
import numpy.typing as npt

from forecasting.features.arrays import mean_of, ratio, spread, trimmed
from forecasting.features.dense_series import DenseSeries
from forecasting.features.dense_state import State
from forecasting.features.panel import Floats, Ints

Column = tuple[str, npt.ArrayLike]

DAYS, WEEKS = 7, 3  # how many of them are looked at one by one


class Targets:
    """What is known about the target's hour, for R origins and leads: arrays of shape (R, entities)."""

    def __init__(self, dense: DenseSeries, origins: Ints, leads: Ints, state: State) -> None:
        self.dense, self.origins, self.leads, self.state = dense, origins, leads, state
        self.rows = origins + leads
        self.days = dense.day * -(-leads // dense.day)
        self.weeks = dense.week * -(-leads // dense.week) if dense.week else self.days
        self.scale = state.scale[state.which]
        self.base = self._base()

    def value(self, back: Ints, shift: int = 0) -> Floats:
        """Return the series so many whole days before the target's hour by the clock, or `shift` hours later."""
        return self.dense.values(np.minimum(self.dense.clock.back(self.rows, back) + shift, self.origins))

    def _base(self) -> Floats:
        """Return the same hour of the newest day that has one, else the level."""
        base = self.value(self.days)
        for back in range(self.dense.day, self.dense.spec.lookback, self.dense.day):
            holes = np.isnan(base)
            if not holes.any():
                return base
            base = np.where(holes, self.value(self.days + back), base)
        return np.where(np.isnan(base), self.state.level[self.state.which], base)

    def columns(self) -> Iterator[Column]:
        """Return the columns that depend on the lead; what is about values is relative to base and scale."""
        for name, values in self._values():
            yield name, (values - self.base) / self.scale
        for name, values in self._changes():
            yield name, values / self.scale
        yield from self._analogs()
        yield "base", self.base / self.scale
        usual = np.abs(mean_of([self.value(self.days + self.dense.day * k) for k in range(DAYS)]))
        share = np.divide(self.scale, usual, out=np.full(usual.shape, np.nan), where=usual > 0)
        yield "scale to the hour's level", share
        yield "hour", self.dense.clock.hour[self.rows][:, None]
        yield "weekday", self.dense.clock.weekday[self.rows][:, None]
        if self.dense.week:
            yield "hour of week", (self.dense.clock.weekday * 24 + self.dense.clock.hour)[self.rows][:, None]
        yield "lead", self.leads[:, None]

    def _values(self) -> Iterator[tuple[str, Floats]]:
        state, which, day = self.state, self.state.which, self.dense.day
        same = [self.value(self.days + day * k) for k in range(DAYS)]
        yield from ((f"{day}h back, {k} more", same[k]) for k in range(1, DAYS))
        yield f"{day}h back, mean", mean_of(same)
        yield f"{day}h back, trimmed mean", trimmed(same)
        for shift in (-2, -1, 1, 2):
            yield f"{day}h back, {shift:+d}h", self.value(self.days, shift)
        yield "last", self.dense.values(self.origins)
        for window in sorted(state.means):
            yield f"mean {window}h", state.means[window][which]
        if self.dense.week:
            yield from self._weekly()
        recent = state.means[day]
        before = self.dense.level.means(state.origins - day, [day])[day]
        yield f"{day}h back, times growth", self.base * ratio(recent, before)[which]

    def _weekly(self) -> Iterator[tuple[str, Floats]]:
        state, which, week, day = self.state, self.state.which, self.dense.week, self.dense.day
        same = [self.value(self.weeks + week * k) for k in range(WEEKS)]
        yield from ((f"{week}h back, {k} more", same[k]) for k in range(WEEKS))
        same.append(self.value(self.weeks + week * WEEKS))
        usual = mean_of(same)
        yield f"{week}h back, mean", usual
        yield f"{week}h back, trimmed mean", trimmed(same)
        yield from self._moved(usual)
        for shift in (-1, 1):
            yield f"{week}h back, {shift:+d}h", self.value(self.weeks, shift)
        for span in (1, 6, 24, 48):
            yield f"{week}h back, moved by {span}h", same[0] + state.changes[week][span][which]
        before = self.dense.level.means(state.origins - week, [6, day])
        for window in (6, day):
            growth = ratio(state.means[window], before[window])[which]
            yield f"{week}h back, times growth of {window}h", same[0] * growth

    def _moved(self, usual: Floats) -> Iterator[tuple[str, Floats]]:
        """Return what is usual at this hour of the week, with what the last hours had more or less than was usual."""
        state, which, week = self.state, self.state.which, self.dense.week
        surprises = state.surprises[week]
        for span in sorted({6, 24, 72} & surprises.keys()):
            yield f"{week}h back, mean moved by {span}h", usual + surprises[span][which]
        for span in sorted({6, self.dense.day} & surprises.keys()):
            growth = ratio(state.means[span], state.means[span] - surprises[span])[which]
            yield f"{week}h back, mean times growth of {span}h", usual * growth

    def _analogs(self) -> Iterator[tuple[str, Floats]]:
        """Return what followed earlier days that went like the last one."""
        analogs = self.dense.analogs
        if not analogs.count:
            return
        days = self.days // self.dense.day
        found, distance = analogs.at(self.state, self.state.which, days, self.base, self.value)
        for name, values in found.items():
            yield f"after days like the last, {name}", (values - self.base) / self.scale
        yield "distance of the nearest such day", distance

    def _changes(self) -> Iterator[tuple[str, Floats]]:
        """Return how the series changed over the same span in earlier weeks and days, and how much that varies."""
        day = self.dense.day
        if self.dense.week:
            yield from self._weekly_changes()
        same = [self.value(self.days + day * k) for k in range(DAYS)]
        yield "spread of days", spread(same)
        yield "size of daily change", mean_of([np.abs(a - b) for a, b in pairwise(same)])
        daily = [same[k] - self.value(2 * self.days + day * k) for k in range(1, DAYS - 1)]
        yield "change a day ago", daily[0]
        yield "change two days ago", daily[1]
        yield "mean change of days", sum(daily[1:], start=daily[0]) / len(daily)

    def _weekly_changes(self) -> Iterator[tuple[str, Floats]]:
        week = self.dense.week
        changes = [self._weekly_change(k) for k in range(WEEKS + 1)]
        yield from ((f"change {k + 1} weeks ago", changes[k]) for k in range(WEEKS))
        yield "mean change of weeks", mean_of(changes[:WEEKS])
        yield "trimmed mean change of weeks", trimmed(changes)
        yield "spread of changes of weeks", spread(changes)
        near = {shift: [self._weekly_change(k, shift) for k in range(WEEKS)] for shift in (-2, -1, 1, 2)}
        for shift in (-1, 1):
            yield f"change a week ago, {shift:+d}h", near[shift][0]
        yield "mean change of weeks, hours around", mean_of([*changes[:WEEKS], *chain(*near.values())])
        same = [self.value(self.weeks + week * k) for k in range(WEEKS + 1)]
        yield "size of weekly change", mean_of([np.abs(a - b) for a, b in pairwise(same)])

    def _weekly_change(self, more: int, shift: int = 0) -> Floats:
        """Return the change over the same span so many weeks before the first one, `shift` hours later."""
        back = self.weeks + self.dense.week * more
        return self.value(back, shift) - self.value(back + self.days, shift)
