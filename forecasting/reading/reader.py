"""Reading forecasts: the freshest stored one that covers an hour, however old it is, else one made on the spot.

Each forecast pipe covers the hours after its issue date, so an hour that no fresh wave was made for is still
answered, by an older forecast with its own lead and its own, wider interval. Where none reaches that far, the stored
observations answer: by a ridge regression, and where they are too few for it by the seasonal naive (see `fallback`).
Each answer says which it is.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from forecasting.errors import NoForecast
from forecasting.models.columns import BOUNDS, FRESH, MEAN, MODEL, OLDER
from forecasting.reading.forecast_store import FAR, HORIZON, Issues, Stored
from pipeline.flows.pipe import ONE_HOUR, hour, stamp
from pipeline.store import Store

__all__ = ["HORIZON", "Forecast", "read_forecast", "read_forecasts"]


@dataclass(frozen=True, slots=True)
class Forecast:
    """What is forecast for one entity and hour.

    Args:
        entity: Its key.
        at: The hour that was asked for, UTC.
        value: The mean.
        bounds: "lo-80", "hi-80", "lo-95", "hi-95"; empty for a forecast without intervals.
        issued: The hour in which it was made; for one made on the spot that of the newest observation.
        lead: Hours from then to the hour asked for.
        version: The version of the code that made it, or whose observations it was made of.
        model: The version of the model that made it, where it names one.
        source: "fresh", "older", "ridge" or "seasonal naive".
    """

    entity: str
    at: datetime
    value: float
    bounds: Mapping[str, float]
    issued: datetime
    lead: int
    version: str
    model: str | None
    source: str = FRESH

    @property
    def degraded(self) -> bool:
        """Whether it is not from the newest wave that was due."""
        return self.source != FRESH


def read_forecast(
    pipe: str,
    entity: str,
    at: datetime | str,
    *,
    now: datetime | str | None = None,
    version: str | None = None,
    base: str | None = None,
    horizon: int | None = None,
    observed: str | None = None,
    fallback: bool = True,
    store: Store | None = None,
) -> Forecast:
    """Return the freshest forecast of one entity for the hour `at`.

    Args:
        pipe: The name of the task that makes the forecasts.
        entity: Its key.
        at: The hour that is asked about: aware and on the hour, or a text like 2013-06-25T13.
        now: As in `read_forecasts`; so are the others.
        version: Whose forecasts.
        base: The version that is read where this one has none.
        horizon: How many issue dates are looked through.
        observed: The numeric pipe that is forecast.
        fallback: Whether to make a forecast where none is stored.
        store: The pipe store.

    Raises:
        NoForecast: No stored forecast covers that hour, and none can be made of observations.

    Example:
        >>> store, made = MemoryStore(), {"oslo": {"mean": [5.0, 6.0, 7.0]}}
        >>> refused = store.put("main", "load_forecast", "2026-04-01T06", made, ttl=86400)
        >>> found = read_forecast("load_forecast", "oslo", "2026-04-01T08", version="main", store=store)
        >>> found.value, found.lead, found.source
        (6.0, 2, 'older')
    """
    when = hour(at)
    issues = Issues.of(store, pipe, version, base)
    issues.observed = observed
    found = _read(issues, [entity], when, _due(when, now), horizon, fallback)
    if entity not in found:
        raise NoForecast(_nothing(issues, entity, when, _due(when, now), horizon, fallback))
    return found[entity]


def read_forecasts(
    pipe: str,
    entities: Sequence[str],
    at: datetime | str,
    *,
    now: datetime | str | None = None,
    version: str | None = None,
    base: str | None = None,
    horizon: int | None = None,
    observed: str | None = None,
    fallback: bool = True,
    store: Store | None = None,
) -> dict[str, Forecast]:
    """Return entity -> the freshest forecast for the hour `at`; entities that cannot have one are left out.

    The newest hour is read first, older ones only for who has none there, in few pipelined reads.

    Args:
        pipe: The name of the task that makes the forecasts.
        entities: Their keys.
        at: The hour that is asked about: aware and on the hour, or a text like 2013-06-25T13.
        now: The newest hour whose wave counts; the hour before `at` by default. Ask for a later day with the present
            hour. A forecast from an earlier hour than this one is `degraded`.
        version: Whose forecasts; PIPELINE_VERSION or the git branch by default.
        base: The version that is read where this one has none for an issue date.
        horizon: How many issue dates are looked through, from `now` back; by default 24, and those of a week where
            that is how old the newest forecasts are.
        observed: The numeric pipe that is forecast, of which a forecast is made where none is stored; by default what
            the stored ones name.
        fallback: Whether to make one.
        store: The pipe store; the process' own by default.
    """
    when = hour(at)
    issues = Issues.of(store, pipe, version, base)
    issues.observed = observed
    found = _read(issues, entities, when, _due(when, now), horizon, fallback)
    return {entity: found[entity] for entity in entities if entity in found}


def _read(
    issues: Issues,
    entities: Sequence[str],
    at: datetime,
    due: datetime,
    horizon: int | None,
    fallback: bool,
) -> dict[str, Forecast]:
    stored = issues.newest(entities, due, horizon, lambda one: _covers(one, at))
    found = {entity: _answer(entity, at, one, due) for entity, one in stored.items()}
    missing = [entity for entity in entities if entity not in found]
    return found | (_made(issues, missing, at, due) if fallback and issues.observed and missing else {})


def _due(at: datetime, now: datetime | str | None) -> datetime:
    """Return the hour of the newest wave that could have made a forecast for `at`."""
    last = at - ONE_HOUR
    return last if now is None else min(last, hour(now))


def _lead(issued: datetime, at: datetime) -> int:
    return round((at - issued) / ONE_HOUR)


def _covers(stored: Stored, at: datetime) -> bool:
    lead = _lead(stored.issued, at)
    return lead <= stored.last and stored.value[MEAN][lead - 1] is not None


def _answer(entity: str, at: datetime, stored: Stored, due: datetime) -> Forecast:
    """Take one lead out of a stored forecast."""
    value, lead = stored.value, _lead(stored.issued, at)
    bounds = {name: float(value[name][lead - 1]) for name in BOUNDS if name in value}
    source = FRESH if stored.issued == due else OLDER
    mean, model = float(value[MEAN][lead - 1]), value.get(MODEL)
    return Forecast(entity, at, mean, bounds, stored.issued, lead, stored.version, model, source)


def _made(issues: Issues, entities: Sequence[str], at: datetime, due: datetime) -> dict[str, Forecast]:
    """Build forecasts of what was observed up to the hour `due`: one read of a window, whatever the number."""
    from forecasting.reading.fallback import WINDOW, guess  # noqa: PLC0415 - 0.3 s of pandas; most reads go without

    version, base = issues.versions[0], issues.versions[-1]
    window = issues.store.window(version, str(issues.observed), due, WINDOW, entities, base=base)
    made = guess(window, _lead(due, at))
    found = {}
    for i, entity in enumerate(entities):
        if math.isnan(made.mean[i]):
            continue
        lead = int(made.leads[i])
        bounds = {
            name: float(made.bounds[name][i]) for name in BOUNDS if not math.isnan(made.bounds[name][i])
        }
        mean, issued = float(made.mean[i]), at - lead * ONE_HOUR
        found[entity] = Forecast(entity, at, mean, bounds, issued, lead, version, None, made.sources[i])
    return found


def _nothing(
    issues: Issues, entity: str, at: datetime, due: datetime, horizon: int | None, fallback: bool
) -> str:
    """Return why there is no answer, and what to do."""
    back = FAR if horizon is None else horizon
    text = (
        f"no forecast {issues.pipe!r} of {entity!r} covers {stamp(at)}: none was issued from "
        f"{stamp(due - (back - 1) * ONE_HOUR)} to {stamp(due)}."
    )
    if fallback and issues.observed:
        text += f" And nothing of {issues.observed!r} was observed that one could be made of."
    elif fallback:
        text += (
            " Name the numeric pipe that is forecast to have one made of it: --observed PIPE, or observed=."
        )
    return f"{text} `wave ls` tells how these waves ended."
