"""Forecasts where none is stored: a ridge regression, else the seasonal naive, made of the observations alone.

Both are made for one hour, for all entities at once, when somebody asks. Their intervals come from their own errors
over the hours before, each forecast there without the days around it. An entity's lead is counted from its newest
observation: a series that has been silent for two days gets a two-day forecast, as wide as those are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from forecasting.features.arrays import divide
from forecasting.features.panel import Floats, Ints
from forecasting.features.trailing import Trailing
from forecasting.models import ridge as regression
from forecasting.models.columns import BOUNDS, NAIVE, RIDGE
from forecasting.models.intervals import alphas, places, tidy

WINDOW = 672  # hours of observations that are looked at

SEASON, WEEK = 24, 168
LAGS = 7  # of the same hour, a season apart
SPANS = (1, 3, 24)  # hours over which the change since the season before is averaged
PENALTY = 0.1  # of the coefficients, for a row of observations with variance 1
LEAST = 168  # observations that a ridge is fitted to at least
FOLDS = 7  # contiguous parts of the history; the errors of each are measured without it
SHRINKAGE = 20.0  # so many errors of any hour draw the usual error of an hour of the day
BLOCK = 64  # entities that are fitted at once: some 8 MB, which stay in the cache


@dataclass(frozen=True, slots=True)
class Guesses:
    """Forecasts of one hour for E entities, NaN for those that cannot have one."""

    mean: Floats  # (E,)
    bounds: Mapping[str, Floats]  # "lo-80", ...: (E,) each; NaN where too few errors are known
    leads: Ints  # (E,): hours from the newest observation to the hour asked for
    sources: Sequence[str]  # (E,): RIDGE or NAIVE


def guess(y: Floats, ahead: int) -> Guesses:
    """Forecast the hour `ahead` hours after the last row of y (hours, entities), by the best that can be had.

    That is the ridge where there is history enough, else the seasonal naive; NaN without any observation.
    """
    count = y.shape[1]
    leads = len(y) - 1 + ahead - _newest(y)
    mean, regressed = np.full(count, np.nan), np.zeros(count, dtype=np.bool_)
    bounds = {name: np.full(count, np.nan) for name in BOUNDS}
    for lead in np.unique(leads[leads < len(y) + ahead]).tolist():
        columns = np.flatnonzero(leads == lead)
        part = y[: len(y) + ahead - lead, columns]
        best, rest = ridge(part, lead), seasonal_naive(part, lead)
        regressed[columns] = ~np.isnan(best[0])
        for target, first, second in zip(
            (mean, *bounds.values()), (best[0], *best[1].values()), (rest[0], *rest[1].values()), strict=True
        ):
            target[columns] = np.where(regressed[columns], first, second)
    return Guesses(mean, bounds, leads, np.where(regressed, RIDGE, NAIVE).tolist())


def ridge(y: Floats, lead: int) -> tuple[Floats, dict[str, Floats]]:
    """Forecast the hour `lead` hours after the last row of y (hours, entities): mean (E,), and bounds (E,) each.

    A regression an entity, direct: fitted to earlier hours with the same lead, on the same hour of the days before,
    the recent level and the change since the day before. Its coefficients are drawn towards the seasonal naive.
    NaN for entities with less than a week of observations to fit to. A series that was never negative stays so.
    """
    parts = [_ridge(y[:, start : start + BLOCK], lead) for start in range(0, y.shape[1], BLOCK)]
    mean = np.concatenate([part[0] for part in parts])
    return mean, {name: np.concatenate([part[1][name] for part in parts]) for name in BOUNDS}


def seasonal_naive(y: Floats, lead: int) -> tuple[Floats, dict[str, Floats]]:
    """Repeat the last observation of the same hour of the day; takes and gives what `ridge` does.

    An entity with too few errors of its own for an interval has one from the errors of all, in units of its size.
    """
    targets = np.arange(_seasons(lead), len(y))
    mean = _repeat(y, np.array([len(y) - 1 + lead]), lead)[0]
    errors = (y[targets] - _repeat(y, targets, lead)).T
    size = np.maximum(divide(np.nansum(np.abs(y), axis=0), (~np.isnan(y)).sum(axis=0)), 1e-9)
    common = _quantiles((errors / size[:, None]).reshape(1, -1))
    return mean, _around(mean, np.where(np.isnan(own := _quantiles(errors)), common * size[:, None], own))


def _ridge(y: Floats, lead: int) -> tuple[Floats, dict[str, Floats]]:
    targets = np.arange(_seasons(lead) + SEASON * (LAGS - 1), len(y))
    if len(targets) < LEAST:
        nothing = np.full(y.shape[1], np.nan)
        return nothing, dict.fromkeys(BOUNDS, nothing)
    seen = ~np.isnan(y)
    centre = np.nan_to_num(divide(np.nansum(y, axis=0), seen.sum(axis=0)))
    spread = np.sqrt(np.nan_to_num(divide(np.nansum((y - centre) ** 2, axis=0), seen.sum(axis=0))))
    unit = np.where(spread > 0, spread, 1.0)
    known = seen[targets].T
    rows = _features((y - centre) / unit, np.append(targets, len(y) - 1 + lead), lead)
    x, last = rows[:, :-1] * known[..., None], rows[:, -1]
    truth = np.nan_to_num(((y[targets] - centre) / unit).T)
    coefficients, errors = _fit(x, truth)
    errors = np.where(known, errors, np.nan)
    usual = _usual(errors, (targets - (len(y) - 1 + lead)) % SEASON)
    told = (last * coefficients).sum(axis=1)
    mean = np.where(known.sum(axis=1) >= LEAST, _plausible(told * unit + centre, y), np.nan)
    around = _quantiles(errors / usual[0]) * (usual[1] * unit)[:, None]
    bounds = _around(mean, around)
    floor = np.where((y < 0).any(axis=0), -np.inf, 0.0)
    return np.maximum(mean, floor), {name: np.maximum(values, floor) for name, values in bounds.items()}


def _features(z: Floats, targets: Ints, lead: int) -> Floats:
    """Return what is known of each target `lead` hours before it: (entities, rows, features)."""
    rows = targets - _seasons(lead)
    lags = [_at(z, rows - SEASON * back) for back in range(LAGS)]
    lags.append(_at(z, targets - WEEK * (-(-lead // WEEK) + 1)))
    same_hour = np.stack(lags, axis=-1)
    seen = ~np.isnan(same_hour)
    usual = np.nan_to_num(divide(np.nansum(same_hour, axis=-1), seen.sum(axis=-1)))
    same_hour = np.where(seen, same_hour, usual[..., None])
    origins, there = targets - lead, (~np.isnan(z)).astype(np.float64)
    change = np.full_like(z, np.nan)
    change[SEASON:] = z[SEASON:] - z[:-SEASON]
    sums, counts = Trailing(z), Trailing(there)
    changes, changed = Trailing(change), Trailing((~np.isnan(change)).astype(np.float64))
    recent = [divide(sums.at(origins, n), counts.at(origins, n)) for n in (1, SEASON, WEEK)]
    recent += [divide(changes.at(origins, n), changed.at(origins, n)) for n in SPANS]
    recent.append(np.ones_like(usual))
    found = np.concatenate([same_hour, np.nan_to_num(np.stack(recent, axis=-1))], axis=-1)
    return np.ascontiguousarray(found.transpose(1, 0, 2))


def _fit(x: Floats, truth: Floats) -> tuple[Floats, Floats]:
    """Return the coefficients (E, features), and the errors (E, rows) that each part has with the others' ones."""
    entities, rows, width = x.shape
    naive = np.zeros(width)
    naive[0] = 1.0
    penalties = np.full((entities, width), PENALTY * rows)
    penalties[:, -1] = 1e-6  # the constant is free
    found = regression.fit(x, truth - x @ naive, penalties, FOLDS)
    return naive + found.coefficients, found.errors


def _usual(errors: Floats, hours: Ints) -> tuple[Floats, Floats]:
    """Return the usual size of an error at each row's hour of the day (E, rows), and at hour 0 (E,)."""
    size, known = np.nan_to_num(np.abs(errors)), ~np.isnan(errors)
    overall = divide(size.sum(axis=1), known.sum(axis=1))
    usual = np.empty((len(errors), SEASON))
    for hour in range(SEASON):
        own = hours == hour
        usual[:, hour] = divide(
            size[:, own].sum(axis=1) + SHRINKAGE * overall, known[:, own].sum(axis=1) + SHRINKAGE
        )
    usual = np.where(usual > 0, usual, 1.0)
    return usual[:, hours], usual[:, 0]


def _plausible(mean: Floats, y: Floats) -> Floats:
    """Keep forecasts within what was seen, and as much again on either side."""
    low, high = np.fmin.reduce(y, axis=0), np.fmax.reduce(y, axis=0)
    return np.clip(mean, 2 * low - high, 2 * high - low)


def _quantiles(errors: Floats) -> Floats:
    """Return what a new error stays between, (E, bounds): a quantile a bound, NaN where n errors are too few for it.

    The ranks are those of split conformal prediction (Vovk et al., 2005), a side at a time.
    """
    ordered = np.sort(errors, axis=1)  # NaN last
    count = (~np.isnan(errors)).sum(axis=1)
    found = []
    for quantile in alphas():
        rank = (count + 1) * quantile
        place = np.floor(rank) if quantile < 0.5 else np.ceil(rank)
        valid = (place >= 1) & (place <= count)
        index = np.where(valid, place - 1, 0).astype(np.int64)[:, None]
        taken = np.take_along_axis(ordered, index, axis=1)[:, 0] if errors.shape[1] else np.nan
        found.append(np.where(valid, taken, np.nan))
    return np.stack(found, axis=1)


def _around(mean: Floats, offsets: Floats) -> dict[str, Floats]:
    """Put bounds around the mean, one a column of the offsets, in the order of the quantiles; they hold the mean."""
    raw = {name: mean + offsets[:, place] for name, place in places().items()}
    return {name: np.where(np.isnan(raw[name]), np.nan, values) for name, values in tidy(mean, raw).items()}


def _repeat(y: Floats, targets: Ints, lead: int) -> Floats:
    """Return the last value at the targets' hour of the day that was known `lead` hours before them, (R, E)."""
    told = np.full((len(targets), y.shape[1]), np.nan)
    for back in range(_seasons(lead), len(y) + SEASON, SEASON):
        told = np.where(np.isnan(told), _at(y, targets - back), told)
    return told


def _at(y: Floats, rows: Ints) -> Floats:
    inside = (rows >= 0) & (rows < len(y))
    return np.where(inside[:, None], y[np.clip(rows, 0, len(y) - 1)], np.nan)


def _seasons(lead: int) -> int:
    """Return the whole seasons that hold a lead, in hours."""
    return SEASON * -(-lead // SEASON)


def _newest(y: Floats) -> Ints:
    """Return the row of each entity's newest observation, -1 where it has none."""
    seen: npt.NDArray[np.bool_] = ~np.isnan(y)
    rows: Ints = np.where(seen.any(axis=0), len(y) - 1 - np.argmax(seen[::-1], axis=0), -1)
    return rows
