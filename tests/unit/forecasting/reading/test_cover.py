"""Cover: how long each entity still has a forecast when no further wave succeeds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from forecasting.reading.cover import cover, covers
from pipeline.store import MemoryStore

NOW = datetime(2026, 1, 2, 12, tzinfo=UTC)
FAR = 1e9


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


def put(store: MemoryStore, hours_before: int, keys: list[str], horizon: int = 24, version: str = "main"):
    date = NOW - timedelta(hours=hours_before)
    store.put(version, "f", date, {key: {"mean": [1.0] * horizon} for key in keys}, FAR)


def hours(store: MemoryStore, keys: list[str], **options) -> dict[str, int]:
    return dict(cover("f", keys, NOW, store=store, version="main", **options).hours)


def test_cover_counts_from_now_to_the_end_of_the_newest_forecast(store: MemoryStore):
    put(store, 0, ["fresh"])
    put(store, 5, ["old", "fresh"])
    put(store, 24, ["over"])
    put(store, 30, ["long"], horizon=48)
    put(store, 40, ["gone"])
    expected = {"fresh": 24, "old": 19, "over": 0, "long": 18, "gone": 0, "never": 0}
    assert hours(store, list(expected)) == expected


def test_what_the_branch_lacks_is_covered_by_the_base(store: MemoryStore):
    put(store, 0, ["a"])
    assert cover("f", ["a"], NOW, store=store, version="fix", base="main").hours == {"a": 24}
    assert cover("f", ["a"], NOW, store=store, version="fix").hours == {"a": 0}


def test_the_least_the_low_and_the_usual_cover_sum_entities_up(store: MemoryStore):
    keys = [f"e{n:03}" for n in range(100)]
    for n, key in enumerate(keys):
        put(store, n % 20, [key])
    found = cover("f", [*keys, "never"], NOW, store=store, version="main")
    assert (found.least, found.p5, found.median, found.out) == (0, 5, 14, 1)


def test_no_entities_have_no_cover(store: MemoryStore):
    found = cover("f", [], NOW, store=store, version="main")
    assert (found.least, found.median, found.out) == (0, 0, 0)


def test_numbers_that_are_missing_at_the_end_do_not_count(store: MemoryStore):
    store.put("main", "f", NOW, {"a": {"mean": [1.0, 2.0, None, None]}}, FAR)
    assert hours(store, ["a"]) == {"a": 2}


def test_of_a_flow_s_pipes_those_that_hold_forecasts_are_covered(store: MemoryStore):
    put(store, 3, ["a", "b"])
    store.put("main", "load", NOW, {"a": 1.0, "b": 2.0}, FAR)
    store.put("main", "board", NOW, {"a": {"flights": 3}}, FAR)
    found = covers(["load", "board", "f", "none"], ["a", "b"], NOW, store=store, version="main")
    assert {pipe: one.least for pipe, one in found.items()} == {"f": 21}
