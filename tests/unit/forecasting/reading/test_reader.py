"""Reading forecasts: the freshest that covers the hour, how old it is, and whose."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import pytest

from forecasting.errors import NoForecast
from forecasting.reading.reader import read_forecast, read_forecasts
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
    assert (found.source, found.degraded) == ("fresh", False)


def test_where_a_wave_failed_an_older_forecast_answers_and_is_degraded(store: MemoryStore):
    put(store, 1, {"a": 0})
    put(store, 7, {"a": 100, "b": 300})
    found = read(store, ["a", "b", "c"])
    assert set(found) == {"a", "b"}
    assert (found["b"].value, found["b"].lead, found["b"].degraded) == (307.0, 7, True)
    assert found["b"].source == "older"
    assert found["b"].bounds["hi-80"] - found["b"].bounds["lo-80"] == 14
    assert not found["a"].degraded


@pytest.mark.parametrize("hours_before", range(1, 25))
def test_every_hour_up_to_the_horizon_is_answered(store: MemoryStore, hours_before: int):
    put(store, hours_before, {"a": 0})
    assert read(store, ["a"])["a"].lead == hours_before


def test_where_nothing_covers_the_hour_the_error_says_where_was_looked(store: MemoryStore):
    put(store, 25, {"a": 0})
    with pytest.raises(
        NoForecast,
        match=r"no forecast 'f' of 'a' covers 2026-01-02T12: none was issued from 2025-12-26T12 to 2026-01-02T11\."
        r" Name the numeric pipe that is forecast to have one made of it: --observed PIPE, or observed=\. `wave ls`",
    ):
        read_forecast("f", "a", AT, store=store, version="main")
    with pytest.raises(NoForecast, match=r"none was issued from 2026-01-02T09 to 2026-01-02T11"):
        read_forecast("f", "a", AT, store=store, version="main", horizon=3)


def test_forecasts_of_two_days_answer_through_an_outage_of_more_than_one(store: MemoryStore):
    put(store, 30, {"a": 0, "b": 50}, horizon=48)
    put(store, 1, {"c": 0})
    found = read(store, ["a", "b", "c"])
    assert {key: one.lead for key, one in found.items()} == {"a": 30, "b": 30, "c": 1}
    assert read(store, ["a"], horizon=24) == {}


def test_an_hour_far_ahead_is_answered_by_a_fresh_forecast_that_reaches_it(store: MemoryStore):
    put(store, 40, {"a": 0}, horizon=48)
    found = read(store, ["a"], now=AT - timedelta(hours=40))["a"]
    assert (found.lead, found.source) == (40, "fresh")


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
    assert [len(dates) for dates in reads] == [1, 2, 4, 8, 9, 144]


def test_entities_come_in_the_order_in_which_they_were_asked_for(store: MemoryStore):
    put(store, 2, {"a": 0, "c": 0})
    put(store, 1, {"b": 0})
    assert list(read(store, ["c", "b", "a"])) == ["c", "b", "a"]


def test_hours_are_texts_too_and_bad_ones_are_refused(store: MemoryStore):
    put(store, 1, {"a": 0})
    assert read(store, ["a"], at="2026-01-02T12")["a"].at == AT
    with pytest.raises(KeyFormatError):
        read(store, ["a"], at="2026-01-02T12:30")


# -- where none is stored


def observe(store: MemoryStore, entities: dict[str, float], days: int, until: int = 1) -> None:
    """Observations of a daily rhythm, up to `until` hours before the hour that is asked about."""
    for back in range(days * 24, until - 1, -1):
        date = AT - timedelta(hours=back)
        told = {key: level + 10 * math.sin(date.hour * math.pi / 12) for key, level in entities.items()}
        store.put("main", "load", date, told, FAR)


def rhythm(level: float) -> float:
    return level + 10 * math.sin(AT.hour * math.pi / 12)


def test_where_none_is_stored_a_ridge_over_the_observations_answers(store: MemoryStore):
    observe(store, {"a": 100.0, "b": 20.0}, days=28)
    put(store, 1, {"c": 5})
    found = read(store, ["a", "b", "c"], observed="load")
    assert [found[key].source for key in "abc"] == ["ridge", "ridge", "fresh"]
    assert found["a"].value == pytest.approx(rhythm(100.0), abs=0.5)
    assert (found["a"].lead, found["a"].issued, found["a"].model) == (1, AT - timedelta(hours=1), None)
    assert found["a"].degraded
    assert set(found["a"].bounds) == {"lo-80", "hi-80", "lo-95", "hi-95"}


def test_a_short_history_is_answered_by_the_seasonal_naive_and_none_at_all_by_an_error(store: MemoryStore):
    observe(store, {"a": 100.0}, days=4)
    found = read_forecast("f", "a", AT, store=store, version="main", observed="load")
    assert (found.source, found.value) == ("seasonal naive", pytest.approx(rhythm(100.0)))
    assert read(store, ["a", "b"], observed="load").keys() == {"a"}
    with pytest.raises(
        NoForecast, match=r"And nothing of 'load' was observed that one could be made of\. `wave"
    ):
        read_forecast("f", "b", AT, store=store, version="main", observed="load")


def test_the_stored_forecasts_tell_what_is_observed(store: MemoryStore):
    observe(store, {"a": 100.0, "new": 50.0}, days=28)
    store.put("main", "f", AT - timedelta(hours=60), {"a": stored(0) | {"of": "load"}}, FAR)
    assert read_forecast("f", "a", AT, store=store, version="main").source == "ridge"
    store.put("main", "f", AT - timedelta(hours=2), {"a": stored(0) | {"of": "load"}}, FAR)
    found = read(store, ["a", "new"])
    assert [one.source for one in found.values()] == ["older", "ridge"]
    assert read(store, ["a", "new"], fallback=False).keys() == {"a"}


def test_an_answer_of_the_fallback_counts_its_lead_from_the_newest_observation(store: MemoryStore):
    observe(store, {"a": 100.0}, days=28, until=30)
    found = read(store, ["a"], observed="load")["a"]
    assert (found.lead, found.issued) == (30, AT - timedelta(hours=30))


def test_the_fallback_reads_one_window_and_nothing_later_than_now(store: MemoryStore):
    observe(store, {"a": 100.0, "b": 30.0}, days=28)
    now = AT - timedelta(hours=5)
    windows = []
    real = store.window
    store.window = lambda *args, **options: windows.append(args[2]) or real(*args, **options)
    assert read(store, ["a", "b"], observed="load", now=now)["b"].lead == 5
    assert windows == [now]


def test_a_branch_falls_back_on_its_own_observations_and_the_base_s(store: MemoryStore):
    observe(store, {"a": 100.0}, days=28)
    found = read_forecasts("f", ["a"], AT, store=store, version="fix", base="main", observed="load")
    assert (found["a"].source, found["a"].version) == ("ridge", "fix")
