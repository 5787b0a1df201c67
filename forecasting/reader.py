"""Reading stored forecasts: the freshest one that covers an hour, however old it is.

Each forecast pipe covers the hours after its issue date, so an hour that no fresh wave was made for is still
answered, by an older forecast with its own lead and its own, wider interval.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from forecasting.errors import NoForecast
from forecasting.names import BOUNDS, MEAN, MODEL
from pipeline.app import settings
from pipeline.pipe import ONE_HOUR, hour, stamp
from pipeline.runtime import process_runtime
from pipeline.store import Store

HORIZON = 24  # hours after its issue date that a forecast is looked for


@dataclass(frozen=True, slots=True)
class Forecast:
    """What is forecast for one entity and hour."""

    entity: str
    at: datetime  # the hour that was asked for, UTC
    value: float  # the mean
    bounds: Mapping[str, float]  # "lo-80", "hi-80", "lo-95", "hi-95"; empty for a forecast without intervals
    issued: datetime  # the hour in which it was made
    lead: int  # hours from then to the hour asked for
    version: str  # the version of the code that made it
    model: str | None  # the version of the model that made it, where it names one
    degraded: bool  # not from the newest wave that was due


def read_forecast(
    pipe: str,
    entity: str,
    at: datetime | str,
    *,
    now: datetime | str | None = None,
    version: str | None = None,
    base: str | None = None,
    horizon: int = HORIZON,
    store: Store | None = None,
) -> Forecast:
    """Give the freshest forecast of one entity for the hour `at`; the parameters are those of `read_forecasts`.

    Raises NoForecast when no stored forecast covers that hour.
    """
    found = read_forecasts(
        pipe, [entity], at, now=now, version=version, base=base, horizon=horizon, store=store
    )
    if entity not in found:
        when = hour(at)
        raise NoForecast(
            f"no forecast {pipe!r} of {entity!r} covers {stamp(when)}: none was issued from "
            f"{stamp(when - horizon * ONE_HOUR)} to {stamp(_due(when, now))}. `wave ls` tells how these waves ended."
        )
    return found[entity]


def read_forecasts(
    pipe: str,
    entities: Sequence[str],
    at: datetime | str,
    *,
    now: datetime | str | None = None,
    version: str | None = None,
    base: str | None = None,
    horizon: int = HORIZON,
    store: Store | None = None,
) -> dict[str, Forecast]:
    """Give entity -> the freshest forecast for the hour `at`; entities that none covers are left out.

    pipe      the name of the task that makes the forecasts
    at        the hour that is asked about: aware and on the hour, or a text like 2013-06-25T13
    now       the newest hour whose wave counts; the hour before `at` by default. Ask for a later day with the
              present hour. A forecast from an earlier hour than this one is `degraded`.
    version   whose forecasts; PIPELINE_VERSION or the git branch by default
    base      the version that is read where this one has none for an issue date
    horizon   how many hours before `at` a forecast may be made
    store     the pipe store; the process' own by default

    The newest hour is read first, older ones only for who has none there, in few pipelined reads.
    """
    when = hour(at)
    version = version or settings.any_version()
    store = store or process_runtime(settings).store
    versions = [version] if base in (None, version) else [version, base]
    found: dict[str, Forecast] = {}
    for dates in _reads(_due(when, now), when, horizon):
        missing = [entity for entity in entities if entity not in found]
        if not missing:
            break
        pipes = [(name, store.get_grid(name, pipe, dates, missing)) for name in versions if name]
        for entity in missing:
            if forecast := _freshest(entity, when, dates, pipes, _due(when, now)):
                found[entity] = forecast
    return {entity: found[entity] for entity in entities if entity in found}


def _due(at: datetime, now: datetime | str | None) -> datetime:
    """The hour of the newest wave that could have made a forecast for `at`."""
    last = at - ONE_HOUR
    return last if now is None else min(last, hour(now))


def _reads(newest: datetime, at: datetime, horizon: int) -> Iterator[list[datetime]]:
    """The issue dates that can cover `at`, newest first: one, then twice as many with each read."""
    dates = [at - lead * ONE_HOUR for lead in range(1, horizon + 1)]
    dates = [date for date in dates if date <= newest]
    start, size = 0, 1
    while start < len(dates):
        yield dates[start : start + size]
        start, size = start + size, 2 * size


def _freshest(
    entity: str,
    at: datetime,
    dates: Sequence[datetime],
    pipes: Sequence[tuple[str, Mapping[tuple[str, datetime], Any]]],
    due: datetime,
) -> Forecast | None:
    for date in dates:
        for version, stored in pipes:
            lead = round((at - date) / ONE_HOUR)
            numbers = _numbers(stored.get((entity, date)), lead)
            if numbers is not None:
                value, bounds, model = numbers
                return Forecast(entity, at, value, bounds, date, lead, version, model, degraded=date < due)
    return None


def _numbers(stored: Any, lead: int) -> tuple[float, dict[str, float], str | None] | None:
    """Take one lead out of a stored forecast; None when it does not reach that far."""
    if not isinstance(stored, Mapping) or MEAN not in stored or lead > len(stored[MEAN]):
        return None
    value = stored[MEAN][lead - 1]
    if value is None:
        return None
    bounds = {name: float(stored[name][lead - 1]) for name in BOUNDS if name in stored}
    return float(value), bounds, stored.get(MODEL)
