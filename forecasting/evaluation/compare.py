"""Comparing versions of a forecast: scored on the same targets, with the same leads, and tested in pairs."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd

from forecasting.errors import DataError
from forecasting.evaluation.paired_test import Paired, diebold_mariano, holm
from forecasting.features.panel import Floats
from forecasting.models.columns import BOUNDS, LEVELS, MEAN, OBSERVED
from pipeline.app import settings
from pipeline.errors import UnknownName
from pipeline.flows.pipe import ONE_HOUR, check_version, hour, stamp
from pipeline.store import Store
from pipeline.waves.runtime import process_runtime

BLOCK = 200  # entities that are scored at once
SEASON = 24
HISTORY = 672  # hours before the first date that tell how large an entity's errors usually are
SURE = 0.05  # p-values below it count as a difference

COLUMNS = (MEAN, *BOUNDS)


@dataclass(frozen=True)
class Scores:
    """How versions of one forecast did, on the targets that all of them answered.

    Args:
        pipe: The name of the task that makes the forecasts.
        table: A row a version: answers, mae, rmse, scaled (mean of |error| in units of the entity's mean change from
            one day to the next, that is MASE), cover-80, cover-95, interval-95 (interval score, in the same units).
        leads: The same by version and lead.
        tests: A row a version beside the first: change (of scaled, relative), p (Holm), verdict.
        answers: Pairs of target and lead that all versions answered and that have a truth.
        left_out: Those with a truth that only some answered.
        hours: Target hours.
    """

    pipe: str
    table: pd.DataFrame
    leads: pd.DataFrame
    tests: pd.DataFrame
    answers: int
    left_out: int
    hours: int

    @property
    def verdict(self) -> str:
        """Describe in words which is better, a sentence a version."""
        return "\n".join(self.tests["verdict"])


def score_versions(
    pipe: str,
    versions: Sequence[str],
    entities: Sequence[str],
    dates: Sequence[datetime | str],
    *,
    observed: str | None = None,
    truth: str | None = None,
    leads: tuple[int, int] | None = None,
    store: Store | None = None,
    seen: Callable[[Sequence[int]], Iterable[int]] = iter,
) -> Scores:
    """Score several versions of a forecast on the same targets.

    An answer (entity, issue date, lead) counts when all versions gave it and the truth is known. The test is
    `paired.diebold_mariano` on scaled absolute errors, averaged over entities and leads by target hour: entities of one
    hour share their weather, and so are not many witnesses but one.

    Args:
        pipe: The name of the task that makes the forecasts.
        versions: The first is what the others are tested against. Only a version's own forecasts count, none of a base.
        entities: Their keys.
        dates: Issue dates: the hours of the waves that made them.
        observed: The numeric pipe that is forecast; by default what the forecasts name.
        truth: The version whose observations count; by default the first one of `versions` that has any.
        leads: The smallest and the largest lead that count; all by default.
        store: The pipe store; the process' own by default.
        seen: Gets the blocks of entities that are scored one by one, and returns them: to show how far it is.

    Raises:
        UnknownName: A version has no such forecast.
        DataError: No answer counts.
    """
    store = store or process_runtime(settings).store
    names = [check_version(name) for name in dict.fromkeys(versions)]
    job = _Job(store, pipe, names, sorted(hour(date) for date in dates), leads, observed, truth)
    for start in seen(range(0, len(entities), BLOCK)):
        job.add(entities[start : start + BLOCK])
    return job.scores()


@dataclass
class _Job:
    """Sums over blocks of entities."""

    store: Store
    pipe: str
    versions: Sequence[str]
    dates: Sequence[datetime]
    leads: tuple[int, int] | None
    observed: str | None
    truth: str | None
    sums: dict[tuple[str, int], dict[str, float]] = field(default_factory=dict)  # version, lead -> sums
    # target -> scaled errors a version, and a count
    by_hour: dict[datetime, Floats] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)  # versions that have any forecast
    left_out: int = 0

    def add(self, entities: Sequence[str]) -> None:
        """Read and score a block."""
        found = {name: self.store.get_grid(name, self.pipe, self.dates, entities) for name in self.versions}
        pipes = {
            name: {key: value for key, value in grid.items() if isinstance(value, Mapping) and MEAN in value}
            for name, grid in found.items()
        }
        self.seen |= {name for name, grid in pipes.items() if grid}
        values = [value for grid in pipes.values() for value in grid.values()]
        if not values:
            return
        self.observed = self.observed or next((v[OBSERVED] for v in values if OBSERVED in v), None)
        last = max(len(value[MEAN]) for value in values)
        y, unit = self._truth(entities, last)
        columns = {name: _columns(grid, self.dates, entities, last) for name, grid in pipes.items()}
        for lead in range(
            self.leads[0] if self.leads else 1, min(last, self.leads[1] if self.leads else last) + 1
        ):
            told = {name: values[:, lead - 1] for name, values in columns.items()}
            self._score(lead, told, self._rows(y, lead), unit)

    def _truth(self, entities: Sequence[str], last: int) -> tuple[Floats, Floats]:
        """Return the truth from the first date on (hours, entities), and each entity's usual change in a day (E,)."""
        if self.observed is None:
            raise DataError(
                f"the forecasts {self.pipe!r} do not name the pipe that they forecast. Name it: --observed PIPE, or "
                "observed=."
            )
        end = self.dates[-1] + last * ONE_HOUR
        length = round((end - self.dates[0]) / ONE_HOUR) + HISTORY
        for name in [self.truth] if self.truth else self.versions:
            y = self.store.window(name, self.observed, end, length, entities)
            if not np.isnan(y).all():
                self.truth = name
                break
        changes = np.abs(y[SEASON:] - y[:-SEASON])
        known = ~np.isnan(changes)
        unit = np.nansum(changes, axis=0) / np.maximum(known.sum(axis=0), 1)
        size = np.nanmean(np.abs(y)) if not np.isnan(y).all() else 1.0
        return y[HISTORY:], np.where(unit > 0, unit, size if size > 0 else 1.0)

    def _rows(self, y: Floats, lead: int) -> Floats:
        rows = [round((date - self.dates[0]) / ONE_HOUR) + lead - 1 for date in self.dates]
        return y[rows]

    def _score(self, lead: int, told: Mapping[str, Floats], y: Floats, unit: Floats) -> None:
        """Add one lead: told are (dates, entities, columns), the truth is (dates, entities)."""
        answered = np.stack([~np.isnan(values[..., 0]) for values in told.values()])
        known = ~np.isnan(y)
        common = answered.all(axis=0) & known
        self.left_out += int((answered.any(axis=0) & known & ~common).sum())
        if not common.any():
            return
        units = np.broadcast_to(unit, y.shape)[common]
        scaled = []
        for name, values in told.items():
            error = np.abs(values[..., 0] - y)
            scaled.append(np.where(common, error / unit, 0.0).sum(axis=1))
            self._count(name, lead, values[common], y[common], units)
        counts = common.sum(axis=1)
        for i in np.flatnonzero(counts).tolist():
            row = np.array([*(errors[i] for errors in scaled), counts[i]])
            target = self.dates[i] + lead * ONE_HOUR
            self.by_hour[target] = self.by_hour.get(target, 0.0) + row

    def _count(self, name: str, lead: int, told: Floats, y: Floats, unit: Floats) -> None:
        """Add n answers of one version: told (n, columns)."""
        error = np.abs(told[:, 0] - y)
        found = {
            "answers": len(y),
            "error": error.sum(),
            "squared": (error**2).sum(),
            "scaled": (error / unit).sum(),
        }
        for level in LEVELS:
            low, high = (told[:, COLUMNS.index(f"{side}-{level}")] for side in ("lo", "hi"))
            there = ~np.isnan(low + high)
            found[f"bounded-{level}"] = there.sum()
            found[f"in-{level}"] = ((low <= y) & (y <= high) & there).sum()
            outside = np.maximum(low - y, 0) + np.maximum(y - high, 0)
            found[f"interval-{level}"] = np.nansum((high - low + 2 / (1 - level / 100) * outside) / unit)
        sums = self.sums.setdefault((name, lead), dict.fromkeys(found, 0.0))
        for key, value in found.items():
            sums[key] += float(value)

    def scores(self) -> Scores:
        """Sum up."""
        self._check()
        frame = pd.DataFrame(
            [{"version": name, "lead": lead} | sums for (name, lead), sums in self.sums.items()]
        )
        rank = {name: i for i, name in enumerate(self.versions)}
        table = _scores(frame.drop(columns="lead").groupby("version").sum())
        table = table.reindex(list(self.versions)).rename_axis("version").reset_index()
        leads = _scores(frame.groupby(["version", "lead"]).sum()).reset_index()
        leads = leads.sort_values(
            ["lead", "version"], key=lambda c: c.map(rank) if c.name == "version" else c
        )
        by_hour = np.array([self.by_hour[target] for target in sorted(self.by_hour)])
        answers = int(by_hour[:, -1].sum())
        tests = pd.DataFrame(self._tests(by_hour, int(frame["lead"].max())))
        return Scores(
            self.pipe, table, leads.reset_index(drop=True), tests, answers, self.left_out, len(by_hour)
        )

    def _tests(self, by_hour: Floats, horizon: int) -> Iterator[dict[str, Any]]:
        """Test each version against the first."""
        counts = by_hour[:, -1]
        first, others = self.versions[0], self.versions[1:]
        found: list[Paired] = []
        for i in range(1, len(self.versions)):
            # Each hour counts by its answers: the mean of these is the difference of the scores.
            found.append(diebold_mariano((by_hour[:, i] - by_hour[:, 0]) / counts.mean(), horizon))
        usual = by_hour[:, 0].sum() / counts.sum()
        for name, test, p in zip(others, found, holm([test.p for test in found]), strict=True):
            change = test.mean / usual if usual > 0 else math.nan
            verdict = _verdict(name, first, change, p, int(counts.sum()), test.hours)
            yield {"version": name, "against": first, "change": change, "p": p, "verdict": verdict}

    def _check(self) -> None:
        span = f"from {stamp(self.dates[0])} to {stamp(self.dates[-1])}" if self.dates else "at no date"
        for name in self.versions:
            if name not in self.seen:
                raise UnknownName(
                    f"version {name!r} has no forecast {self.pipe!r} of these entities that was issued {span}. "
                    "`wave ls` lists the waves of each version."
                )
        if not self.by_hour:
            raise DataError(
                f"no hour was forecast by all of {', '.join(self.versions)} {span} and observed in {self.observed!r} "
                f"of {self.truth or self.versions[0]!r}. Take issue dates whose hours have come, or name the truth's "
                "version."
            )


def _columns(
    grid: Mapping[tuple[str, datetime], Mapping[str, Any]],
    dates: Sequence[datetime],
    entities: Sequence[str],
    last: int,
) -> Floats:
    """Put stored forecasts into one array, (dates, leads, entities, columns), NaN where there is none."""
    found = np.full((len(dates), last, len(entities), len(COLUMNS)), np.nan)
    date_of = {date: i for i, date in enumerate(dates)}
    entity_of = {entity: i for i, entity in enumerate(entities)}
    for (entity, date), value in grid.items():
        for column, name in enumerate(COLUMNS):
            if name in value:
                numbers = np.array(value[name], dtype=np.float64)  # None becomes NaN
                found[date_of[date], : len(numbers), entity_of[entity], column] = numbers
    return found


def _scores(sums: pd.DataFrame) -> pd.DataFrame:
    count = sums["answers"]
    found = {
        "answers": count.astype(int),
        "mae": sums["error"] / count,
        "rmse": (sums["squared"] / count) ** 0.5,
        "scaled": sums["scaled"] / count,
    }
    found |= {f"cover-{level}": sums[f"in-{level}"] / sums[f"bounded-{level}"] for level in LEVELS}
    found["interval-95"] = sums["interval-95"] / sums["bounded-95"]
    return pd.DataFrame(found)


def _verdict(name: str, first: str, change: float, p: float, answers: int, hours: int) -> str:
    size = f"{abs(change):.1%} {'smaller' if change < 0 else 'larger'}"
    ground = f"on the same {answers:,} answers of {hours:,} hours"
    if math.isnan(p):
        return f"{name}: its error is {size} than that of {first}, but {hours} hours are too few to tell."
    if p >= SURE:
        return f"{name}: no difference from {first} can be told: its error is {size} {ground} (p = {p:.2f})."
    sure = "p < 0.001" if p < 0.001 else f"p = {p:.3f}"
    word = "better" if change < 0 else "worse"
    return f"{name} is {word} than {first}: its error is {size} {ground} ({sure})."
