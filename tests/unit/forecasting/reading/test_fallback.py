"""Forecasts made of observations alone: accurate, honest about doubt, and defined for whatever data come."""

from __future__ import annotations

from collections import defaultdict
from itertools import product

import numpy as np
import pytest

from forecasting.reading.fallback import guess, ridge, seasonal_naive

LEVELS = (80, 95)


def days(entities: int, hours: int, seed: int = 1) -> np.ndarray:
    """Series with a daily rhythm each, a level that wanders, and noise that is larger by day; none is negative."""
    rng = np.random.default_rng(seed)
    hour = np.arange(hours)[:, None]
    rhythm = 1 + 0.6 * np.sin(2 * np.pi * (hour % 24) / 24 + rng.uniform(0, 6, entities))
    wander = np.cumsum(rng.normal(0, 0.02, (hours, entities)), axis=0)
    return np.maximum(100 * (rhythm * (1 + rng.normal(0, 0.1, (hours, entities))) + wander), 0.0)


def covered(bounds: dict[str, np.ndarray], truth: np.ndarray, level: int) -> np.ndarray:
    return (bounds[f"lo-{level}"] <= truth) & (truth <= bounds[f"hi-{level}"])


@pytest.mark.parametrize("method", [ridge, seasonal_naive])
@pytest.mark.parametrize("lead", [1, 7, 24, 30])
def test_intervals_cover_what_they_promise(method, lead: int):
    inside = {level: [] for level in LEVELS}
    for seed in range(6):
        y = days(150, 672 + 48, seed)
        _, bounds = method(y[:672], lead)
        for level in LEVELS:
            inside[level].append(covered(bounds, y[671 + lead], level))
    assert np.mean(inside[95]) == pytest.approx(0.95, abs=0.03)
    assert np.mean(inside[80]) == pytest.approx(0.80, abs=0.06)


def test_the_ridge_is_better_than_the_seasonal_naive_and_wider_with_lead():
    errors, widths = defaultdict(list), defaultdict(list)
    for seed in range(5):
        y = days(100, 672 + 24, seed)
        for lead, method in product((1, 24), (ridge, seasonal_naive)):
            mean, bounds = method(y[:672], lead)
            errors[method, lead].append(np.abs(mean - y[671 + lead]).mean())
            widths[method, lead].append((bounds["hi-95"] - bounds["lo-95"]).mean())
    for lead in (1, 24):
        assert np.mean(errors[ridge, lead]) < 0.95 * np.mean(errors[seasonal_naive, lead])
    assert np.mean(widths[ridge, 1]) < np.mean(widths[ridge, 24])


@pytest.mark.parametrize("method", [ridge, seasonal_naive])
def test_bounds_hold_the_mean_and_never_cross(method):
    mean, b = method(days(200, 672), 5)
    for low, high in (("lo-95", "lo-80"), ("hi-80", "hi-95")):
        assert (b[low] <= b[high]).all()
    assert (b["lo-80"] <= mean).all()
    assert (mean <= b["hi-80"]).all()


def test_a_series_that_was_never_negative_is_not_forecast_to_be():
    mean, bounds = ridge(days(300, 672) * (np.arange(672) % 24 > 11)[:, None], 3)
    assert (mean >= 0).all()
    assert (bounds["lo-95"] >= 0).all()


def test_each_entity_is_answered_by_the_best_that_its_history_allows():
    y = days(4, 672)
    y[:600, 1] = np.nan  # three days old
    y[:, 2] = np.nan
    y[-50:, 3] = np.nan  # silent for two days
    found = guess(y, 2)
    assert found.sources[:2] == ["ridge", "seasonal naive"]
    assert found.sources[3] == "ridge"
    assert np.isnan(found.mean).tolist() == [False, False, True, False]
    assert found.leads[[0, 1, 3]].tolist() == [2, 2, 52]


def test_a_silent_series_is_forecast_as_it_would_have_been_when_it_fell_silent():
    y = days(30, 672)
    silent = y.copy()
    silent[-30:] = np.nan
    assert guess(silent, 1).mean == pytest.approx(ridge(y[:-30], 31)[0])


def test_what_comes_later_does_not_change_a_forecast_and_neither_do_other_entities():
    y = days(20, 672)
    other = np.hstack([y[:, :3], 1e6 * days(5, 672, seed=9)])
    assert guess(other, 4).mean[:3] == pytest.approx(guess(y, 4).mean[:3])


@pytest.mark.parametrize("scale", [1e-9, 1e12])
def test_forecasts_scale_with_the_data(scale: float):
    y = days(10, 672)
    mean, bounds = ridge(y, 6)
    scaled_mean, scaled_bounds = ridge(y * scale, 6)
    assert scaled_mean == pytest.approx(mean * scale, rel=1e-6)
    assert scaled_bounds["hi-95"] == pytest.approx(bounds["hi-95"] * scale, rel=1e-6)


def test_a_constant_series_is_forecast_to_stay_and_its_interval_is_closed():
    found = guess(np.full((672, 2), [7.0, 0.0]), 3)
    assert found.mean == pytest.approx([7.0, 0.0])
    assert found.bounds["hi-95"] - found.bounds["lo-95"] == pytest.approx([0.0, 0.0])


def test_gaps_are_filled_from_the_days_before():
    rng = np.random.default_rng(3)
    y = days(200, 672 + 6)
    holes = np.where(rng.random(y.shape) < 0.3, np.nan, y)
    truth, seen = y[677], guess(holes[:672], 6)
    assert set(seen.sources) == {"ridge"}
    assert np.abs(seen.mean - truth).mean() < 1.2 * np.abs(guess(y[:672], 6).mean - truth).mean()


def test_few_errors_of_its_own_give_no_interval_unless_others_tell_one():
    y = days(60, 30)
    alone = guess(y[:, :1], 1)
    assert not np.isnan(alone.mean[0])
    assert np.isnan(alone.bounds["lo-95"][0])
    among = guess(y, 1)
    assert not np.isnan(among.bounds["lo-95"]).any()


def test_no_entities_and_no_observations_are_answered_by_nothing():
    assert guess(np.empty((672, 0)), 1).sources == []
    assert np.isnan(guess(np.full((672, 3), np.nan), 1).mean).all()
