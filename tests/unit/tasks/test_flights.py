"""The replayed sources: what they tell of an hour was known when it ended."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from tasks import flights
from tasks.errors import SourceError

AT = datetime(2013, 6, 25, 22, tzinfo=UTC)  # 18:00 in New York: delays have piled up


def test_entities_are_carriers_at_an_airport_and_routes_with_enough_flights():
    entities = flights.departures().entities
    carriers = {key for key, features in entities.items() if "carrier" in features}
    routes = {key for key, features in entities.items() if "dest" in features}
    assert (len(carriers), len(routes), len(entities)) == (17, 59, 76)
    assert entities["JFK-B6"] == {"origin": "JFK", "carrier": "B6"}
    assert entities["LGA-ATL"] == {"origin": "LGA", "dest": "ATL"}
    assert {features["origin"] for features in entities.values()} == {"EWR", "JFK", "LGA"}


def test_every_flight_that_left_counts_once():
    found = flights.departures()
    column = found.columns["EWR-UA"]
    assert found.flights[:, column].sum() == 45_652  # of 46,087 scheduled ones, the others were cancelled


def test_an_hour_tells_flights_their_delay_and_those_that_wait():
    record = flights.departures().record("JFK-B6", AT)
    assert record == {"flights": 3, "minutes": 141.0, "waiting": 6}


def test_a_night_without_flights_is_told_as_none_not_as_a_failure():
    record = flights.departures().record("LGA-ATL", datetime(2013, 6, 25, 7, tzinfo=UTC))
    assert record == {"flights": 0, "minutes": 0.0, "waiting": 0}


def test_the_delay_is_the_mean_over_departures_and_missing_without_any():
    found = flights.departures()
    delay, there = found.delay(), found.flights > 0
    assert np.isnan(delay[~there]).all()
    np.testing.assert_allclose((delay * found.flights)[there], found.minutes[there], atol=1e-9)


def test_a_flight_counts_in_the_hour_of_its_departure_and_waits_until_then():
    board = flights._Board(np.array([10.5, 10.5, 11.0, 10.75]), np.array([0.0, 90.0, np.nan, 15.0]))
    rows = np.arange(4)
    left, minutes, waiting = board.hourly(rows)
    assert left[10:13].tolist() == [1, 1, 1]  # 15 minutes after 10:45 is 11:00; 90 after 10:30 is 12:00
    assert minutes[10:13].tolist() == [0, 15, 90]
    assert waiting[10:13].tolist() == [2, 2, 1]  # the cancelled flight waits too, until it is given up


def test_a_flight_that_leaves_early_never_waits():
    left, _, waiting = flights._Board(np.array([10.0, 20.0]), np.array([-5.0, 0.0])).hourly(np.arange(2))
    assert left[9] == 1
    assert waiting.sum() == 0


def test_the_weather_is_that_of_the_airport_and_hour():
    record = flights.weather().record("JFK", AT)
    assert record is not None
    assert set(record) == {"visibility", "rain", "wind", "temperature"}
    assert flights.weather().measure("visibility", "JFK")[AT] == record["visibility"]


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: flights.departures().record("JFK-XX", AT), "no carrier or route 'JFK-XX' is known"),
        (
            lambda: flights.departures().record("JFK-B6", AT + timedelta(days=400)),
            "nothing is known of 2014-07-30T22",
        ),
        (
            lambda: flights.weather().record("BOS", AT),
            "no weather of 'BOS' is known. There is that of EWR, JFK, LGA",
        ),
    ],
)
def test_what_is_not_known_is_an_error_that_says_what_is(call, text: str):
    with pytest.raises(SourceError, match=text.replace(".", r"\.")):
        call()


def test_without_the_package_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch):
    def missing(name: str):
        raise flights.PackageNotFoundError(name)

    monkeypatch.setattr(flights, "distribution", missing)
    with pytest.raises(SourceError, match=r"pip install 'celery-waves\[demo\]'"):
        flights._file("flights.csv.zip")
