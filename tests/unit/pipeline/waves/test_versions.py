"""Comparing versions of a pipe: what each made of the same entities and dates, side by side."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

import pipeline
from pipeline.errors import KeyFormatError, UnknownName
from pipeline.store import MemoryStore
from pipeline.waves.versions import compare

NOW = datetime(2026, 1, 2, 12, tzinfo=UTC)
HOURS = [NOW - timedelta(hours=1), NOW]
FAR = 1e9


@pytest.fixture
def store() -> MemoryStore:
    store = MemoryStore()
    for version, gain in (("main", 0), ("fix", 10)):
        for n, date in enumerate(HOURS):
            store.put(version, "delay", date, {"a": 1.0 + n + gain, "b": 3.0 + n + gain}, FAR)
    store.put("fix", "delay", NOW + timedelta(hours=1), {"a": 0.5}, FAR)
    return store


def test_versions_stand_side_by_side_for_each_entity_and_hour(store: MemoryStore):
    found = compare("delay", ["main", "fix"], ["a", "b"], HOURS, store=store)
    expected = pd.DataFrame(
        {
            "unique_id": ["a"] * 4 + ["b"] * 4,
            "ds": pd.DatetimeIndex([h for h in HOURS for _ in range(2)] * 2),
            "version": ["main", "fix"] * 4,
            "value": [1.0, 11.0, 2.0, 12.0, 3.0, 13.0, 4.0, 14.0],
        }
    )
    pd.testing.assert_frame_equal(found, expected, check_dtype=False)
    assert found["value"].dtype == "float64"


def test_what_a_version_has_not_is_missing_and_is_not_taken_from_another(store: MemoryStore):
    later = NOW + timedelta(hours=1)
    found = compare("delay", ["main", "fix"], ["a", "b"], [NOW, later], store=store)
    last = found[found["ds"] == later].set_index(["unique_id", "version"])["value"]
    assert last["a", "fix"] == 0.5
    assert np.isnan([last["a", "main"], last["b", "main"], last["b", "fix"]]).all()


def test_values_of_any_kind_are_compared(store: MemoryStore):
    values = {"a": {"flights": 3}, "b": "late"}
    store.put("main", "board", NOW, values, FAR)
    store.put("fix", "board", NOW, {"a": [1, 2]}, FAR)
    found = compare("board", ["main", "fix"], ["a", "b"], [NOW], store=store)
    assert found["value"].tolist() == [{"flights": 3}, [1, 2], "late", None]


def test_dates_are_texts_too(store: MemoryStore):
    assert compare("delay", ["main"], ["a"], ["2026-01-02T12"], store=store)["value"].tolist() == [2.0]


def test_a_version_that_has_nothing_of_it_is_an_error_that_names_those_that_have(store: MemoryStore):
    with pytest.raises(
        UnknownName,
        match=r"version 'fixx' has no pipe 'delay' of these 2 entities from 2026-01-02T11 to 2026-01-02T12\. Those "
        r"that have: 'main'\.",
    ):
        compare("delay", ["main", "fixx"], ["a", "b"], HOURS, store=store)
    with pytest.raises(KeyFormatError, match=r"version 'a b' cannot be part of a key"):
        compare("delay", ["a b"], ["a"], HOURS, store=store)


def test_nothing_to_compare_gives_the_columns_alone(store: MemoryStore):
    found = compare("delay", ["main"], [], [], store=store)
    assert list(found.columns) == ["unique_id", "ds", "version", "value"]
    assert found.empty


def test_it_is_part_of_the_package():
    assert pipeline.compare is compare
