"""Reading forecasts: the freshest that covers the hour, how old it is, and whose."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from forecasting.errors import NoForecast
from forecasting.reader import read_forecast, read_forecasts
from pipeline.errors import KeyFormatError
from pipeline.store import MemoryStore

AT = datetime(2026, 1, 2, 12, tzinfo=UTC)
FAR = 1e9  # seconds to live


def stored(value: float, horizon: int = 24) -> dict[str, list[float]]:
    """A forecast that counts up from its value, so that a number tells its lead."""
    mean = [value + lead for lead in range(1, horizon + 1)]
    return {
        "mean": mean,
        "lo-80": [m - lead for lead, m in enumerate(mean, 1)],
        "hi-80": [m + lead for lead, m in enumerate(mean, 1)],
        "model": "v7",
    }


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


def put(
    store: MemoryStore, hours_before: int, entities: dict[str, float], version: str = "main", **options
) -> None:
    date = AT - timedelta(hours=hours_before)
    store.put(version, "f", date, {key: stored(value, **options) for key, value in entities.items()}, FAR)


def read(store: MemoryStore, entities: list[str], at: datetime | str = AT, **options):
    return read_forecasts("f", entities, at, store=store, version="main", **options)


def test_the_freshest_forecast_answers_with_its_lead_and_interval(store: MemoryStore):
    put(store, 5, {"a": 100})
    put(store, 1, {"a": 200})
    found = read_forecast("f", "a", AT, store=store, version="main")
    assert (found.value, found.lead, found.issued) == (201.0, 1, AT - timedelta(hours=1))
    assert found.bounds == {"lo-80": 200.0, "hi-80": 202.0}
    assert (found.entity, found.at, found.version, found.model) == ("a", AT, "main", "v7")
    assert not found.degraded


def test_where_a_wave_failed_an_older_forecast_answers_and_is_degraded(store: MemoryStore):
    put(store, 1, {"a": 0})
    put(store, 7, {"a": 100, "b": 300})
    found = read(store, ["a", "b", "c"])
    assert set(found) == {"a", "b"}
    assert (found["b"].value, found["b"].lead, found["b"].degraded) == (307.0, 7, True)
    assert found["b"].bounds["hi-80"] - found["b"].bounds["lo-80"] == 14
    assert not found["a"].degraded


@pytest.mark.parametrize("hours_before", range(1, 25))
def test_every_hour_up_to_the_horizon_is_answered(store: MemoryStore, hours_before: int):
    put(store, hours_before, {"a": 0})
    assert read(store, ["a"])["a"].lead == hours_before


def test_past_the_horizon_there_is_no_answer_and_the_error_says_where_was_looked(store: MemoryStore):
    put(store, 25, {"a": 0}, horizon=40)
    with pytest.raises(
        NoForecast,
        match=r"no forecast 'f' of 'a' covers 2026-01-02T12: none .* from 2026-01-01T12 to 2026-01-02T11",
    ):
        read_forecast("f", "a", AT, store=store, version="main")
    assert read(store, ["a"], horizon=30)["a"].lead == 25


def test_a_forecast_that_does_not_reach_the_hour_is_passed_over(store: MemoryStore):
    put(store, 3, {"a": 0}, horizon=2)
    put(store, 6, {"a": 50})
    assert read(store, ["a"])["a"].lead == 6


def test_a_later_hour_is_asked_for_with_the_present_one(store: MemoryStore):
    now = AT - timedelta(hours=10)
    put(store, 10, {"a": 0, "b": 0})
    put(store, 11, {"c": 0})
    put(store, 2, {"a": 99})  # made later than now: nobody knows of it yet
    found = read(store, ["a", "c"], now=now)
    assert (found["a"].lead, found["a"].degraded) == (10, False)
    assert (found["c"].lead, found["c"].degraded) == (11, True)


def test_of_two_versions_the_own_one_counts_first_and_the_base_fills_in(store: MemoryStore):
    put(store, 1, {"a": 100, "b": 200})
    put(store, 1, {"a": 500}, version="fix")
    found = read_forecasts("f", ["a", "b"], AT, store=store, version="fix", base="main")
    assert (found["a"].version, found["a"].value) == ("fix", 501.0)
    assert (found["b"].version, found["b"].value) == ("main", 201.0)


def test_a_fresher_forecast_of_the_base_counts_more_than_an_old_one_of_the_own(store: MemoryStore):
    put(store, 1, {"a": 100})
    put(store, 9, {"a": 500}, version="fix")
    assert read_forecasts("f", ["a"], AT, store=store, version="fix", base="main")["a"].version == "main"


def test_where_all_waves_went_well_one_read_is_enough(store: MemoryStore):
    reads = []
    real = store.get_grid
    store.get_grid = lambda *args, **options: reads.append(args[2]) or real(*args, **options)
    put(store, 1, {"a": 1, "b": 2})
    read(store, ["a", "b"])
    assert len(reads) == 1
    reads.clear()
    read(store, ["a", "gone"])
    assert [len(dates) for dates in reads] == [1, 2, 4, 8, 9]


def test_entities_come_in_the_order_in_which_they_were_asked_for(store: MemoryStore):
    put(store, 2, {"a": 0, "c": 0})
    put(store, 1, {"b": 0})
    assert list(read(store, ["c", "b", "a"])) == ["c", "b", "a"]


def test_hours_are_texts_too_and_bad_ones_are_refused(store: MemoryStore):
    put(store, 1, {"a": 0})
    assert read(store, ["a"], at="2026-01-02T12")["a"].at == AT
    with pytest.raises(KeyFormatError):
        read(store, ["a"], at="2026-01-02T12:30")
