"""The shipped flows: how late flights leave New York, forecast every hour for the next 24.

`delays` runs every hour, at its end: it asks two sources, computes what the forecast reads, and forecasts.
`delays-training` runs once a day: it fits one model an airport to the last 60 days and makes it live.

    wave up -F tasks.delays

FLIGHTS_OUTAGE=2013-06-25T10/2013-06-25T15 plays an outage of the departures, from its first to its last hour.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

import pandas as pd

from forecasting.features import FeatureSpec
from forecasting.model import Fitting, GlobalForecaster
from forecasting.panel import Panel, side_by_side
from forecasting.registry import Registry, process_registry
from forecasting.serving import forecast, train
from pipeline import Entity, Flow, State, task
from pipeline.pipe import hour
from pipeline.settings import Settings
from tasks import flights as source
from tasks.errors import SourceError

OUTAGE = "FLIGHTS_OUTAGE"  # the variable
NAME = "delay"  # what the models of the registry forecast
PAST = ("waiting", "weather")  # the pipes that a model is told beside the delays

SPEC = FeatureSpec(base=672, timezone=source.AIRPORT_TIME, past=PAST)
# Robust: one flight that leaves hours late must not count as much as all others together.
FITTING = Fitting(loss="robust")


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
    """Give the mean minutes per departure; an hour without one is no observation."""
    return departures["minutes"] / departures["flights"] if departures["flights"] else None


@task
def waiting(departures: Mapping[str, float]) -> float:
    """Give the number of flights that should have left and have not: they will leave late."""
    return departures["waiting"]


# `departures` is required, so that without them nothing is forecast: an older forecast is better than one that
# takes the silence of a source for a quiet hour. The windows are not: a night's last hours hold no delay.
@task(batch=True, window={"delay": "28d", "waiting": "1h", "weather": "1h"}, timeout="20m")
def delay_forecast(
    entity: Sequence[Entity],
    departures: Mapping[str, Any],
    delay: pd.DataFrame = None,
    waiting: pd.DataFrame = None,
    weather: pd.DataFrame = None,
) -> dict[str, dict[str, Any]]:
    """Forecast the next 24 hours with the airport's live model."""
    panel = Panel.from_frames(delay, past={"waiting": waiting, "weather": weather})
    return forecast(models(), NAME, str(entity[0].partition_name), panel)


@task(
    per="partition",
    window={"delay": "60d", "waiting": "60d", "weather": "60d"},
    timeout="20m",
    time_limit="30m",
)
def delay_model(
    entity: Entity,
    delay: Iterable[pd.DataFrame],
    waiting: Iterable[pd.DataFrame],
    weather: Iterable[pd.DataFrame],
) -> dict[str, Any]:
    """Fit the airport's model to the last 60 days and make it live; what is known of it is the pipe."""
    past = {"waiting": side_by_side(waiting), "weather": side_by_side(weather)}
    trained = train(
        models(),
        NAME,
        str(entity.partition_name),
        Panel.from_frames(side_by_side(delay), past=past),
        GlobalForecaster(SPEC, FITTING),
        code=Settings.from_env().version or "",
    )
    known = {n: v for n, v in asdict(trained.manifest).items() if n not in ("features", "sha256")}
    return known | {"live": trained.live, "gate": trained.text}


def models() -> Registry:
    """Give the registry in PIPELINE_MODELS."""
    return process_registry()


def check_outage(date: datetime) -> None:
    """Raise SourceError in the hours that FLIGHTS_OUTAGE names."""
    first, _, last = os.environ.get(OUTAGE, "").partition("/")
    if first and hour(first) <= date <= hour(last or first):
        raise SourceError(f"the departures board does not answer (an outage, played by {OUTAGE}).")


airports = State("airports", partition_by="origin", source=lambda: source.departures().entities)

SOURCES = [departures, weather, delay, waiting]

# At the end of the hour: what they ask about is then complete.
delays = Flow("delays", [*SOURCES, delay_forecast], state=airports, schedule="59 * * * *")
training = Flow("delays-training", [*SOURCES, delay_model], state=airports, schedule="59 8 * * *")
