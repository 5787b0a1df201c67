"""Recalibration: intervals that go on covering what they promise when the world changes.

When a wave forecasts, the forecasts of the last two days and the truth that has come since tell how often the intervals
covered. How far the truth lay outside, in widths of the interval (below zero: inside), is the score of conformalised
quantile regression (Romano, Patterson, Candes, 2019); its quantile over the last days is by how much the next
intervals are widened on each side (or narrowed). It is taken over all entities at once, by lead, because a few days of
one entity are too few to tell a tail by; then each entity's own remainder is added, drawn towards zero by how little is
known of it.

Scores are those of the intervals as the model gave them: by how much they were widened is stored in the pipe, under
"widened", so that one wave does not build on another's correction. A missed wave, a new version or a first wave then
needs nothing: what there is of earlier forecasts is what counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd

from forecasting.features.arrays import divide
from forecasting.features.panel import Floats, Panel
from forecasting.models.columns import BOUNDS, LEVELS, MEAN, WIDENED
from forecasting.models.forecasts import Forecasts
from forecasting.models.intervals import NARROWEST, tidy
from pipeline.flows.pipe import ONE_HOUR
from pipeline.store import Store

COUNT = 5  # issue dates that are looked at; 8 are no better
STEPS = (11, 13, 17, 19, 23, 29, 31, 37)  # hours between them: they meet every hour of the day
NEWEST = 3  # hours since the newest of them
REACH = 1.6  # horizons that they go back at least, so that some of them know each lead
ENOUGH_DATES = 3  # with fewer nothing is corrected: one bad evening is no change of the world
LEAST_DATES = 3  # issue dates of an entity that say something about it
SHRINKAGE = 6.0  # issue dates by which an entity's remainder is drawn towards zero
LEAST = 50  # scores that a tail can be told from
NEIGHBOURS = 2  # leads on each side that a lead's correction is measured with
HUNDREDTHS = 100  # of a width: the unit in which pipes hold it
WIDEST = 5.0  # widths that are added on each side at most


@dataclass(frozen=True, slots=True)
class Recalibrated:
    """Forecasts with corrected intervals, and the correction."""

    forecasts: Forecasts
    widening: Mapping[int, Floats]  # level -> (leads, entities), in widths on each side; empty for none

    def to_pipes(self, model: str | None = None, observed: str | None = None) -> dict[str, dict[str, Any]]:
        """Return entity -> pipe value, with the correction; the parameters are those of `Forecasts.to_pipes`."""
        pipes = self.forecasts.to_pipes(model, observed)
        if self.widening:
            lists = {
                str(level): np.round(HUNDREDTHS * values).astype(int).T.tolist()
                for level, values in self.widening.items()
            }
            for i, value in enumerate(pipes.values()):
                value[WIDENED] = {level: values[i] for level, values in lists.items()}
        return pipes


@dataclass(frozen=True, slots=True)
class Earlier:
    """What earlier forecasts said, and what came."""

    scores: Mapping[int, Floats]  # level -> (dates, leads, entities); NaN where there is no forecast or truth
    # level -> the model's widths, in the same shape; NaN where there is no forecast
    widths: Mapping[int, Floats]


def recalibrate(forecasts: Forecasts, panel: Panel, pipe: str, version: str, store: Store) -> Recalibrated:
    """Correct the intervals of the forecasts that a wave makes, by those that its version made in the last days.

    forecasts   of the leads 1, 2, ... from the panel's last hour; those without intervals come back as they are
    panel       the truth, in which the last days' hours must be; entities as in the forecasts
    pipe        the name of the task that makes them, whose earlier pipes are read
    version     whose pipes: only the own ones, because another version's intervals may err in another way

    One pipelined read of 5 issue dates. Without any earlier forecasts nothing changes.
    """
    if not set(BOUNDS) <= set(forecasts.bounds) or not len(forecasts.leads):
        return Recalibrated(forecasts, {})
    horizon = int(forecasts.leads[-1])
    now = panel.hours[-1].to_pydatetime()
    dates = issue_dates(now, horizon)
    grid = store.get_grid(version, pipe, dates, forecasts.entities)
    return corrected(forecasts, score(grid, dates, panel, horizon))


def issue_dates(now: datetime, horizon: int) -> list[datetime]:
    """Return the dates of the earlier forecasts that are looked at, newest first."""
    step = next((n for n in STEPS if NEWEST + (COUNT - 1) * n >= REACH * horizon), STEPS[-1])
    return [now - (NEWEST + n * step) * ONE_HOUR for n in range(COUNT)]


def score(
    grid: Mapping[tuple[str, datetime], Any], dates: Sequence[datetime], panel: Panel, horizon: int
) -> Earlier:
    """Score stored forecasts, (entity, date) -> pipe value, by the truth of a panel."""
    entity_of = {entity: i for i, entity in enumerate(panel.entities)}
    date_of = {date: i for i, date in enumerate(dates)}
    usable = [(key, value) for key, value in grid.items() if _usable(value)]
    lists = [_padded(value[name], horizon) for _, value in usable for name in BOUNDS]
    numbers = np.array(lists, dtype=np.float64).reshape(len(usable), len(BOUNDS), horizon)
    rows = np.array([date_of[date] for (_, date), _ in usable], dtype=np.int64)
    columns = np.array([entity_of[entity] for (entity, _), _ in usable], dtype=np.int64)
    truth = _truth(panel, dates, horizon)[rows, :, columns]
    found: tuple[dict[int, Floats], dict[int, Floats]] = ({}, {})
    for level in LEVELS:
        low, high = (numbers[:, BOUNDS.index(f"{side}-{level}")] for side in ("lo", "hi"))
        before = _before([value for _, value in usable], level, horizon)
        width = (high - low) / (1 + 2 * before)
        low, high = low + before * width, high - before * width
        with np.errstate(divide="ignore", invalid="ignore"):
            outside = np.where(
                width > 1e-9 * np.abs(high), np.maximum(low - truth, truth - high) / width, np.nan
            )
        for target, values in zip(found, (outside, width), strict=True):
            target[level] = np.full((len(dates), horizon, len(panel.entities)), np.nan)
            target[level][rows, :, columns] = values
    return Earlier(*found)


def corrected(forecasts: Forecasts, earlier: Earlier) -> Recalibrated:
    """Widen or narrow the intervals by what earlier scores tell. They hold the mean and never cross."""
    bounds: dict[str, Floats] = {}
    widening: dict[int, Floats] = {}
    for level in LEVELS:
        found = _widening(earlier.scores[level], earlier.widths[level], level / 100)
        if found is None:
            return Recalibrated(forecasts, {})
        low, high = forecasts.bounds[f"lo-{level}"], forecasts.bounds[f"hi-{level}"]
        by = found * (high - low)
        bounds |= {f"lo-{level}": low - by, f"hi-{level}": high + by}
        widening[level] = found
    return Recalibrated(replace(forecasts, bounds=tidy(forecasts.mean, bounds)), widening)


def _widening(scores: Floats, widths: Floats, level: float) -> Floats | None:
    """Return by how much to widen, (leads, entities); None where too little is known."""
    known = ~np.isnan(scores)
    if known.sum() < LEAST or known.any(axis=(1, 2)).sum() < ENOUGH_DATES:
        return None
    leads = scores.shape[1]
    every = _upper(scores.reshape(1, -1), level)[0]
    common = np.empty(leads)
    for lead in range(leads):
        side = min(NEIGHBOURS, lead, leads - 1 - lead)  # as many on each side
        near = scores[:, lead - side : lead + side + 1].reshape(1, -1)
        common[lead] = _upper(near, level)[0] if (~np.isnan(near)).sum() >= LEAST else every
    common = _not_shrinking(np.clip(common, NARROWEST, WIDEST), widths)
    rest = (scores - common[None, :, None]).transpose(2, 0, 1).reshape(scores.shape[2], -1)
    dates = known.any(axis=1).sum(axis=0)
    own = np.where(dates >= LEAST_DATES, np.nan_to_num(_upper(rest, level)), 0.0)
    found: Floats = np.clip(common[:, None] + own * dates / (dates + SHRINKAGE), NARROWEST, WIDEST)
    return found


def _not_shrinking(widening: Floats, widths: Floats) -> Floats:
    """Average the widening of neighbouring leads where, with it, the usual interval would shrink with lead.

    The usual width of a lead is the mean over dates and entities, each in units of its own, so that large ones do not
    decide alone.
    """
    unit = _means(widths.transpose(2, 0, 1))
    usual = _means((widths / unit).transpose(1, 0, 2))
    found = usual * (1 + 2 * widening)
    blocks: list[list[int]] = []
    for lead in range(len(found)):
        blocks.append([lead])
        while len(blocks) > 1 and found[blocks[-2]].mean() > found[blocks[-1]].mean():
            blocks[-2:] = [blocks[-2] + blocks[-1]]
    even = np.concatenate([np.full(len(block), found[block].mean()) for block in blocks])
    return np.asarray((even / usual - 1) / 2)


def _means(values: Floats) -> Floats:
    """Return the mean of each row's known values, 1 where there is none above zero."""
    rows = values.reshape(len(values), -1)
    found = divide(np.nansum(rows, axis=1), (~np.isnan(rows)).sum(axis=1))
    return np.where(found > 0, found, 1.0)


def _upper(values: Floats, level: float) -> Floats:
    """Return each row's quantile that one more value of the kind stays below with the probability `level`."""
    ordered = np.sort(values, axis=1)  # NaN last
    count = (~np.isnan(values)).sum(axis=1)
    rank = np.minimum(np.ceil((count + 1) * level), count).astype(np.int64)
    found: Floats = np.take_along_axis(ordered, np.maximum(rank - 1, 0)[:, None], axis=1)[:, 0]
    return found


def _before(values: Sequence[Mapping[str, Any]], level: int, horizon: int) -> Floats:
    """Return by how much each stored forecast was widened, (n, leads)."""
    nothing = [0.0] * horizon
    lists = [_padded(value.get(WIDENED, {}).get(str(level), nothing), horizon, 0.0) for value in values]
    return np.array(lists, dtype=np.float64).reshape(len(values), horizon) / HUNDREDTHS


def _truth(panel: Panel, dates: Sequence[datetime], horizon: int) -> Floats:
    """Return what came at each lead of each date, (dates, leads, entities); NaN where it has not come yet."""
    first = np.array([round((pd.Timestamp(date) - panel.hours[0]) / ONE_HOUR) for date in dates])
    rows = first[:, None] + np.arange(1, horizon + 1)
    inside = (rows >= 0) & (rows < len(panel))
    seen = np.where(panel.weight > 0, panel.y, np.nan)
    return np.where(inside[..., None], seen[np.clip(rows, 0, len(panel) - 1)], np.nan)


def _padded(values: Sequence[float | None], count: int, by: float = float("nan")) -> Sequence[float | None]:
    # As it is where it can be: copies of thousands of lists cost more than the arithmetic.
    return values if len(values) == count else [*values[:count], *[by] * (count - len(values))]


def _usable(value: Any) -> bool:
    return isinstance(value, Mapping) and MEAN in value and all(name in value for name in BOUNDS)
