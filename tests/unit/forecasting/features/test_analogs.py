"""Days like the last one: what followed them is found, moved to the present level, and never taken from the future."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

from forecasting.features.analogs import LIKENESSES, Analogs
from forecasting.features.dense_series import bridged

DAY, WEEK, LOOKBACK = 24, 168, 672


@dataclass(frozen=True, slots=True)
class Origins:
    origins: np.ndarray
    level: np.ndarray
    scale: np.ndarray


def told(y: np.ndarray, origins: list[int], leads: list[int]) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """What is forecast of one series from some origins, each for its lead."""
    different, which = np.unique(origins, return_inverse=True)
    ones = np.ones((len(different), 1))
    days = -(-np.array(leads) // DAY)
    rows = np.array(origins) + leads
    analogs = Analogs(y[:, None], DAY, WEEK, LOOKBACK)
    state = Origins(different, ones * np.nanmean(y), ones)
    return analogs.at(state, which, days, np.zeros((len(rows), 1)), value(y, rows))


def value(y: np.ndarray, rows: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    filled = bridged(y[:, None], DAY)
    return lambda back: np.where(
        (rows - back >= 0)[:, None], filled[np.clip(rows - back, 0, len(y) - 1)], np.nan
    )


@pytest.fixture
def days() -> np.ndarray:
    """Five weeks in which every third day is busy, and the day after it is quiet; all rises slowly."""
    rhythm = np.sin(np.arange(35 * DAY) / DAY * 2 * np.pi)
    kind = np.repeat(np.arange(35) % 3, DAY)
    return 10 + rhythm * np.array([3.0, 1.0, 2.0])[kind] + np.arange(35 * DAY) * 0.01


def test_what_followed_days_like_the_last_one_is_forecast(days: np.ndarray):
    origin = 30 * DAY - 1
    leads = list(range(1, 49))
    found, distance = told(days, [origin] * 48, leads)
    assert set(found) == {one.name for one in LIKENESSES}
    for forecast in found.values():
        np.testing.assert_allclose(forecast[:, 0], days[origin + 1 : origin + 49], atol=0.1)
    assert (distance < 0.05).all()


def test_many_origins_give_what_each_gives_by_itself(days: np.ndarray):
    origins, leads = [700, 650, 700, 655], [3, 30, 48, 24]
    together, distances = told(days, origins, leads)
    for i, (origin, lead) in enumerate(zip(origins, leads, strict=True)):
        alone, distance = told(days, [origin], [lead])
        for name, values in alone.items():
            np.testing.assert_allclose(together[name][i], values[0])
        np.testing.assert_allclose(distances[i], distance[0])


def test_hours_that_are_missing_do_not_count(days: np.ndarray):
    origin = 30 * DAY - 1
    whole, _ = told(days, [origin] * 24, list(range(1, 25)))
    y = days.copy()
    y[origin - 9 : origin - 3] = np.nan  # of the last day
    y[25 * DAY : 26 * DAY] = np.nan  # a day that it would be compared to
    found, distance = told(y, [origin] * 24, list(range(1, 25)))
    assert np.isfinite(distance).all()
    for name, values in found.items():
        np.testing.assert_allclose(values, whole[name], atol=0.3)


def test_without_days_to_compare_to_there_is_no_forecast(days: np.ndarray):
    y = days.copy()
    y[: 29 * DAY] = np.nan
    found, distance = told(y, [30 * DAY - 1], [1])
    assert all(np.isnan(values).all() for values in found.values())
    assert np.isnan(distance).all()


def test_a_lead_beyond_the_lookback_has_no_forecast(days: np.ndarray):
    found, distance = told(days, [30 * DAY - 1], [40 * DAY])
    assert all(np.isnan(values).all() for values in found.values())
    assert np.isnan(distance).all()


def test_a_lookback_of_hardly_a_day_compares_nothing():
    assert Analogs(np.zeros((100, 1)), DAY, WEEK, 30).count == 0
