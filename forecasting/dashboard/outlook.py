"""What a forecast's page shows: what came, what was told an hour before, and what is told of the hours to come."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from forecasting.models.columns import FRESH, MEAN, OBSERVED, OLDER
from forecasting.reading.forecast_store import Issues, Stored
from forecasting.reading.reader import Forecast, read_forecasts
from pipeline.flows.pipe import ONE_HOUR
from pipeline.store import Store

AHEAD = 24  # hours that are shown where no forecast tells a horizon
FURTHEST = 168  # and at most
GUESSED = 24  # past hours without a stored forecast for which one is made: each takes some milliseconds
APART = 6  # hours between the older forecasts that are shown beside the newest
OLDER_SHOWN = 4

Line = Sequence[tuple[datetime, float]]


@dataclass(frozen=True, slots=True)
class Hour:
    """One hour: what was observed, and the answer for it."""

    at: datetime
    truth: float | None
    # as a reader got it an hour before; of hours to come as it gets it at the issue date
    forecast: Forecast | None


@dataclass(frozen=True, slots=True)
class Outlook:
    """The hours around an issue date, for one entity."""

    pipe: str
    entity: str
    version: str
    observed: str | None  # the pipe that is forecast, where it is known
    issued: datetime  # the issue date that it is looked at from
    present: datetime  # the hour that it is
    hours: Sequence[Hour]
    older: Sequence[tuple[datetime, Line]]  # what was told of these hours before: issue date, mean by hour

    @property
    def past(self) -> Sequence[Hour]:
        """The hours up to the issue date."""
        return [hour for hour in self.hours if hour.at <= self.issued]

    @property
    def coming(self) -> Sequence[Hour]:
        """The hours after the issue date."""
        return [hour for hour in self.hours if hour.at > self.issued]

    @property
    def degraded(self) -> Sequence[Hour]:
        """The hours that the newest due wave did not answer."""
        return [hour for hour in self.hours if hour.forecast is not None and hour.forecast.degraded]

    @property
    def known(self) -> bool:
        """Whether there is anything to draw."""
        return any(hour.truth is not None or hour.forecast is not None for hour in self.hours)

    @property
    def age(self) -> int:
        """Hours since the issue date."""
        return round((self.present - self.issued) / ONE_HOUR)

    @property
    def next(self) -> Forecast | None:
        """What is told of the hour after the issue date."""
        return self.coming[0].forecast if self.coming else None


def look_ahead(
    store: Store,
    pipe: str,
    entity: str,
    *,
    version: str,
    base: str | None = None,
    issued: datetime | None = None,
    back: int = 48,
) -> Outlook:
    """Look at one entity's forecasts around an issue date, by default that of the newest one.

    back   hours before it that are shown
    """
    issues = Issues.of(store, pipe, version, base)
    present = store.present()
    newest = issues.newest([entity], issued or present, None, lambda stored: stored.last > 0).get(entity)
    at = issued or (newest.issued if newest else present)
    ahead = AHEAD if newest is None else min(newest.last, FURTHEST)
    if issues.observed is None:  # later ones may name it
        later = [at + n * ONE_HOUR for n in range(1, AHEAD + 1)]
        issues.observed = next((one.value.get(OBSERVED) for _, one in issues.grid(later, [entity])), None)
    first = at - (back - 1) * ONE_HOUR
    dates = [first + n * ONE_HOUR for n in range(back + ahead)]
    found = _answers(issues, entity, dates, at)
    truth = _truth(issues, entity, dates)
    hours = [Hour(date, truth.get(date), found[date]) for date in dates]
    older = list(_older(issues, entity, at, first)) if newest else []
    return Outlook(pipe, entity, version, issues.observed, at, present, hours, older)


def _answers(
    issues: Issues, entity: str, dates: Sequence[datetime], at: datetime
) -> dict[datetime, Forecast | None]:
    """Read the answer for each hour, the newest first, so that of old ones without any only some are made."""
    own, base = issues.versions[0], issues.versions[-1]
    found: dict[datetime, Forecast | None] = {}
    made = 0
    for date in reversed(dates):
        found[date] = read_forecasts(
            issues.pipe,
            [entity],
            date,
            now=at,
            version=own,
            base=base,
            observed=issues.observed,
            fallback=date > at or made < GUESSED,
            store=issues.store,
        ).get(entity)
        one = found[date]
        made += date <= at and one is not None and one.source not in (FRESH, OLDER)
    return found


def _truth(issues: Issues, entity: str, dates: Sequence[datetime]) -> dict[datetime, float]:
    if not issues.observed:
        return {}
    window = issues.store.window(
        issues.versions[0], issues.observed, dates[-1], len(dates), [entity], base=issues.versions[-1]
    )
    return {date: float(y) for date, y in zip(dates, window[:, 0], strict=True) if not np.isnan(y)}


def _older(
    issues: Issues, entity: str, at: datetime, first: datetime
) -> Iterator[tuple[datetime, Sequence[tuple[datetime, float]]]]:
    dates = [at - n * APART * ONE_HOUR for n in range(1, OLDER_SHOWN + 1)]
    for _, stored in issues.grid(dates, [entity]):
        line = [(date, y) for date, y in _line(stored) if date >= first]
        if line:
            yield stored.issued, line


def _line(stored: Stored) -> Iterator[tuple[datetime, float]]:
    for lead, value in enumerate(stored.value[MEAN], 1):
        if value is not None:
            yield stored.issued + timedelta(hours=lead), float(value)
