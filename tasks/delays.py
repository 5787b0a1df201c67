"""The shipped flows: how late flights leave New York, forecast every hour for the next 24.

`delays` runs every hour, at its end: it asks two sources, computes what the forecast reads, and forecasts.
`delays-training` runs once a day: it fits one model an airport to the last 60 days of what the waves of `delays` have
stored, and makes it live if it is good enough. `delays-backtest` runs when it is submitted: how the same models would
have done in the last three weeks. `forecasting.Forecasting` has all three for any pipe.

    wave up -F tasks.delays

FLIGHTS_OUTAGE=2013-06-25T10/2013-06-25T15 plays an outage of the departures, from its first to its last hour.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import datetime

from forecasting import FeatureSpec, Fitting, Forecasting, GlobalForecaster
from pipeline import Entity, Flow, State, hour, task
from tasks import flights as source
from tasks.errors import SourceError

OUTAGE = "FLIGHTS_OUTAGE"  # the variable
PAST = ("waiting", "weather")  # the pipes that a model is told beside the delays

SPEC = FeatureSpec(timezone=source.AIRPORT_TIME, past=PAST)
FITTING = Fitting()


@task
def departures(entity: Entity, date: datetime) -> dict[str, float]:
    """Ask the airport's board about the hour: flights that left, minutes of their delay, flights that wait."""
    check_outage(date)
    return source.departures().record(entity, date)


@task
def weather(entity: Entity, date: datetime) -> float | None:
    """Ask the weather service how far one sees at the airport, in miles."""
    return (source.weather().record(entity.features["origin"], date) or {}).get("visibility")


@task
def delay(departures: Mapping[str, float]) -> float | None:
    """Return the mean minutes per departure; an hour without one is no observation."""
    return departures["minutes"] / departures["flights"] if departures["flights"] else None


@task
def waiting(departures: Mapping[str, float]) -> float:
    """Return the number of flights that should have left and have not: they will leave late."""
    return departures["waiting"]


def estimator() -> GlobalForecaster:
    """Build the model of an airport, not fitted yet."""
    return GlobalForecaster(SPEC, FITTING)


# `departures` is needed: an older forecast is better than one that takes the silence of a source for a quiet hour. The
# delay itself is not: a night's last hours hold none.
FORECASTING = Forecasting("delay", past=PAST, needs=["departures"], past_lookback="1h", model=estimator)


def check_outage(date: datetime) -> None:
    """Raise SourceError in the hours that FLIGHTS_OUTAGE names."""
    first, _, last = os.environ.get(OUTAGE, "").partition("/")
    if first and hour(first) <= date <= hour(last or first):
        raise SourceError(f"the departures board does not answer (an outage, played by {OUTAGE}).")


airports = State("airports", partition_by="origin", source=lambda: source.departures().entities)

SOURCES = [departures, weather, delay, waiting]

# At the end of the hour: what they ask about is then complete.
delays = Flow(
    "delays",
    [*SOURCES, FORECASTING.task()],
    state=airports,
    schedule="59 * * * *",
    keep=FORECASTING.keep,
)
training = FORECASTING.training(delays, schedule="59 8 * * *", name="delays-training")
backtest = FORECASTING.backtest(delays, name="delays-backtest")
