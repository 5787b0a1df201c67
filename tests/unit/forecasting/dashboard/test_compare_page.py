"""Comparing versions on a page: what is asked for, and what is found."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest

from forecasting.dashboard.comparison import Asked, asked, compare
from forecasting.errors import DataError
from pipeline.errors import KeyFormatError, PipelineError, UnknownName
from pipeline.flows.pipe import ONE_HOUR
from pipeline.settings import Settings
from pipeline.store import MemoryStore
from pipeline.waves.runtime import Runtime

AT = datetime(2026, 1, 2, 12, tzinfo=UTC)
FAR = 1e9


@pytest.fixture
def runtime() -> Runtime:
    """Two weeks of observations; each day a forecast by two versions, of which `try` is the better one."""
    made, store = Runtime(Settings(redis_url="redis://nowhere", version="main")), MemoryStore()
    made.__dict__["store"] = store
    rng = np.random.default_rng(5)
    for n in range(-72, 24 * 30):
        y = 10 + 5 * np.sin(n / 24 * 2 * np.pi) + rng.normal()
        store.put("main", "y", AT - n * ONE_HOUR, {"a": float(y)}, FAR)
    for n in range(24, 24 * 8):
        for version, off in {"main": 4.0, "try": 1.0}.items():
            mean = [
                float(store.window("main", "y", AT + (k - n) * ONE_HOUR, 1, ["a"])[0, 0] + off)
                for k in (1, 2)
            ]
            store.put(version, "f", AT - n * ONE_HOUR, {"a": {"mean": mean, "of": "y"}}, FAR)
    store.put("try", "y", AT, {"a": 3.5}, FAR)
    store.put("try", "y", AT - ONE_HOUR, {"a": 1.0}, FAR)
    return made


def test_forecasts_are_scored_and_a_sentence_says_which_is_better(runtime: Runtime):
    found = compare(runtime, Asked("f", ["main", "try"], ["a"], AT - 100 * ONE_HOUR, AT - 30 * ONE_HOUR))
    assert found.scores is not None
    assert found.scores.verdict.startswith("try is better than main")


def test_of_other_pipes_it_is_told_where_they_differ(runtime: Runtime):
    result = compare(runtime, Asked("y", ["main", "try"], ["a"], AT - 2 * ONE_HOUR, AT)).differing
    assert result is not None
    assert result.versions == [("main", 3, 3), ("try", 2, 0)]
    assert (result.pairs, result.different) == (3, 3)
    assert [(key, date) for key, date, _ in result.rows][-1] == ("a", "2026-01-02T12")
    assert result.rows[0][2][1] is None


def test_what_is_alike_is_not_listed(runtime: Runtime):
    result = compare(runtime, Asked("y", ["main", "main"], ["a"], AT, AT)).differing
    assert result is not None
    assert (result.different, result.rows) == (0, [])


def test_a_version_without_any_is_named(runtime: Runtime):
    with pytest.raises(UnknownName, match=r"version 'other' has no pipe 'y' of these entities and dates\."):
        compare(runtime, Asked("y", ["main", "other"], ["a"], AT, AT))


@pytest.mark.parametrize(
    ("form", "error", "text"),
    [
        ({"versions": "main"}, DataError, "name two versions or more"),
        ({"versions": "main, main"}, DataError, "name two versions or more"),
        ({"last": "2026-01-01T00"}, DataError, "lies before the first one"),
        (
            {"last": "2027-01-01T00"},
            DataError,
            "at most 20,000. Take fewer entities or dates, or `wave compare`",
        ),
        ({"last": "soon"}, KeyFormatError, "date 'soon' cannot be read"),
        ({"entities": ""}, UnknownName, "no flow here makes 'y', so its entities are not known. Name some."),
        ({"entities": "@all x"}, KeyFormatError, "'@all'"),
    ],
)
def test_what_is_asked_for_wrongly_is_said(runtime: Runtime, form, error: type[PipelineError], text: str):
    right = {"pipe": "y", "versions": "main try", "entities": "a, b", "first": "2026-01-02T00"}
    with pytest.raises(error) as caught:
        asked(runtime, {}, **(right | {"last": "2026-01-02T12"} | form))
    assert text in str(caught.value)


def test_versions_and_entities_are_parted_by_spaces_or_commas(runtime: Runtime):
    found = asked(runtime, {}, "y", "main,try", "a, b c", "2026-01-02T00", "2026-01-02T12")
    assert (found.versions, found.entities, len(found.dates)) == (["main", "try"], ["a", "b", "c"], 13)
