"""Scores of versions of a forecast: fair, tested in pairs, and said in words."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from forecasting.errors import DataError
from forecasting.evaluation.compare import score_versions
from forecasting.evaluation.paired_test import diebold_mariano, holm
from pipeline.errors import UnknownName
from pipeline.store import MemoryStore

FIRST = datetime(2026, 1, 5, tzinfo=UTC)
FAR = 1e9
LEADS = 6


def put_truth(store: MemoryStore, entities: dict[str, np.ndarray], start: datetime = FIRST) -> None:
    for n in range(len(next(iter(entities.values())))):
        date = start + timedelta(hours=n)
        store.put("main", "load", date, {key: float(y[n]) for key, y in entities.items()}, FAR)


def put_forecasts(
    store: MemoryStore,
    version: str,
    truth: dict[str, np.ndarray],
    dates: int,
    noise: float,
    seed: int = 0,
    **extra,
) -> None:
    """Forecasts of each hour that are off by so much, with an interval of one to either side."""
    rng = np.random.default_rng(seed)
    for n in range(dates):
        values = {}
        for key, y in truth.items():
            mean = y[n + 1 : n + 1 + LEADS] + noise * rng.standard_normal(LEADS)
            bounds = {
                f"{side}-{level}": (mean + sign).tolist()
                for side, sign in (("lo", -1), ("hi", 1))
                for level in (80, 95)
            }
            values[key] = {"mean": mean.tolist(), "of": "load"} | bounds | extra
        store.put(version, "f", FIRST + timedelta(hours=n), values, FAR)


def dates(count: int) -> list[datetime]:
    return [FIRST + timedelta(hours=n) for n in range(count)]


@pytest.fixture
def truth() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(5)
    return {key: 100 + 10 * rng.standard_normal(120) for key in ("a", "b", "c")}


@pytest.fixture
def store(truth) -> MemoryStore:
    store = MemoryStore()
    put_truth(store, truth)
    return store


def test_a_better_version_is_told_from_a_worse_one(store: MemoryStore, truth):
    put_forecasts(store, "main", truth, 96, noise=2.0, seed=1)
    put_forecasts(store, "fix", truth, 96, noise=1.0, seed=2)
    found = score_versions("f", ["main", "fix"], list(truth), dates(96), store=store)
    table = found.table.set_index("version")
    assert table["mae"].to_dict() == pytest.approx({"main": 1.6, "fix": 0.8}, rel=0.1)
    assert table.loc["fix", "cover-95"] == pytest.approx(0.683, abs=0.05)
    assert (found.answers, found.left_out, found.hours) == (3 * 96 * LEADS, 0, 96 + LEADS - 1)
    assert found.verdict.startswith("fix is better than main: its error is 5")
    assert "% smaller on the same 1,728 answers of 101 hours (p < 0.001)." in found.verdict
    back = score_versions("f", ["fix", "main"], list(truth), dates(96), store=store)
    assert back.verdict.startswith("main is worse than fix: ")


def test_equal_versions_are_not_told_apart(store: MemoryStore, truth):
    put_forecasts(store, "main", truth, 96, noise=1.0, seed=1)
    put_forecasts(store, "fix", truth, 96, noise=1.0, seed=2)
    found = score_versions("f", ["main", "fix"], list(truth), dates(96), store=store)
    assert found.verdict.startswith("fix: no difference from main can be told: its error is ")


def test_only_answers_that_all_versions_gave_count(store: MemoryStore, truth):
    put_forecasts(store, "main", truth, 60, noise=1.0)
    put_forecasts(store, "fix", {"a": truth["a"]}, 50, noise=50.0)
    found = score_versions("f", ["main", "fix"], list(truth), dates(60), store=store)
    assert found.answers == 50 * LEADS
    assert found.left_out == (3 * 60 - 50) * LEADS
    assert set(found.table["answers"]) == {50 * LEADS}


def test_leads_are_scored_by_themselves_and_can_be_chosen(store: MemoryStore, truth):
    put_forecasts(store, "main", truth, 60, noise=1.0)
    put_forecasts(store, "fix", truth, 60, noise=1.0, seed=3)
    found = score_versions("f", ["main", "fix"], list(truth), dates(60), store=store, leads=(2, 3))
    assert list(zip(found.leads["lead"], found.leads["version"], strict=True)) == [
        (2, "main"), (2, "fix"), (3, "main"), (3, "fix"),
    ]  # fmt: skip
    assert found.answers == 3 * 60 * 2


def test_hours_that_have_not_come_do_not_count(store: MemoryStore, truth):
    long = {key: np.append(y, np.zeros(50)) for key, y in truth.items()}
    put_forecasts(store, "main", long, 130, noise=1.0)
    put_forecasts(store, "fix", long, 130, noise=1.0, seed=4)
    found = score_versions("f", ["main", "fix"], list(truth), dates(130), store=store)
    assert found.hours == 119


def test_entities_of_all_sizes_count_alike_in_the_test(truth):
    store = MemoryStore()
    sizes = {"small": 0.001 * truth["a"], "large": 1e6 * truth["b"]}
    put_truth(store, sizes)
    put_forecasts(store, "main", sizes, 96, noise=0.001)
    put_forecasts(store, "fix", sizes, 96, noise=0.0005, seed=1)
    found = score_versions("f", ["main", "fix"], list(sizes), dates(96), store=store)
    assert found.tests.loc[0, "change"] == pytest.approx(-0.5, abs=0.1)


def test_few_hours_are_scored_but_not_judged(store: MemoryStore, truth):
    put_forecasts(store, "main", truth, 4, noise=1.0)
    put_forecasts(store, "fix", truth, 4, noise=5.0)
    found = score_versions("f", ["main", "fix"], list(truth), dates(4), store=store)
    assert "9 hours are too few to tell." in found.verdict


def test_a_version_without_forecasts_and_hours_without_truth_are_errors_in_words(store: MemoryStore, truth):
    put_forecasts(store, "main", truth, 10, noise=1.0)
    with pytest.raises(
        UnknownName, match=r"version 'fix' has no forecast 'f' of these entities that was issued from"
    ):
        score_versions("f", ["main", "fix"], list(truth), dates(10), store=store)
    store.put("fix", "f", FIRST, {"a": {"mean": [1.0], "of": "load"}}, FAR)
    with pytest.raises(
        DataError, match=r"no hour was forecast by all of main, fix .* and observed in 'load' of 'fix'"
    ):
        score_versions("f", ["main", "fix"], list(truth), dates(1), store=store, truth="fix")
    nameless = MemoryStore()
    nameless.put("main", "f", FIRST, {"a": {"mean": [1.0]}}, FAR)
    with pytest.raises(
        DataError, match=r"do not name the pipe that they forecast. Name it: --observed PIPE, or observed="
    ):
        score_versions("f", ["main"], ["a"], dates(1), store=nameless)


# -- the test


def autocorrelated(cases: int, hours: int, rng: np.random.Generator) -> np.ndarray:
    """Differences that share a part with the others of their day."""
    days = np.repeat(rng.standard_normal((cases, hours // 24 + 1)), 24, axis=1)[:, :hours]
    return rng.standard_normal((cases, hours)) + 0.5 * days


@pytest.mark.parametrize("hours", [168, 504])
def test_where_there_is_no_difference_one_is_seldom_claimed(hours: int):
    rng = np.random.default_rng(1)
    for cases, limit in (
        (rng.standard_normal((1500, hours)), 0.07),
        (autocorrelated(1500, hours, rng), 0.11),
    ):
        claimed = np.mean([diebold_mariano(case).p < 0.05 for case in cases])
        assert 0.03 < claimed < limit


def test_a_difference_is_found_where_there_is_one():
    rng = np.random.default_rng(2)
    found = [diebold_mariano(case + 0.35).p < 0.05 for case in rng.standard_normal((200, 336))]
    assert np.mean(found) > 0.95


def test_the_sign_tells_which_is_smaller_and_no_difference_is_none():
    rng = np.random.default_rng(3)
    noise = rng.standard_normal(200)
    assert diebold_mariano(noise - 5).statistic < -10
    assert diebold_mariano(np.zeros(200)).p == 1.0
    assert diebold_mariano(np.ones(200)).p == 0.0
    assert math.isnan(diebold_mariano(noise[:30]).p)


def test_several_tests_are_corrected_for_their_number():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.9, 0.6])[0] == pytest.approx(1.0)
    found = holm([math.nan, 0.02])
    assert math.isnan(found[0])
    assert found[1] == 0.02
