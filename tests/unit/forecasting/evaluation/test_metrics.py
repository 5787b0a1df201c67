"""Measures of accuracy against values worked out by hand, and Naive2 against its definition."""

from __future__ import annotations

import numpy as np
import pytest

from forecasting.evaluation import metrics
from tests.benchmarks.forecasting import m4_measures
from tests.benchmarks.forecasting.m4_measures import naive2

NAN = np.nan


def column(*values: float) -> np.ndarray:
    return np.array(values)[:, None]


def test_smape_is_relative_to_both_and_leaves_out_hours_that_are_zero_in_both():
    y, forecast = np.array([100.0, 50.0, 0.0, NAN]), np.array([110.0, 0.0, 0.0, 1.0])
    assert m4_measures.smape(y, forecast) == pytest.approx((200 * 10 / 210 + 200) / 2)


def test_mase_is_in_units_of_the_mean_change_from_season_to_season():
    history = np.array([[1.0, 5.0], [2.0, 5.0], [4.0, 5.0], [NAN, 5.0], [10.0, 5.0]])
    scale = metrics.seasonal_scale(history, season=2)
    assert scale[0] == pytest.approx((3 + 6) / 2)  # |4 - 1|, |10 - 4|
    assert np.isnan(scale[1])  # never changed
    y, forecast = np.array([[9.0, 5.0], [NAN, 5.0]]), np.array([[0.0, 5.0], [3.0, 5.0]])
    errors = m4_measures.mase(y, forecast, scale)
    assert errors[0] == pytest.approx(2.0)
    assert np.isnan(errors[1])


def test_owa_is_the_mean_of_both_measures_relative_to_naive2():
    assert m4_measures.owa(9.328, 0.893, 18.383, 2.395) == pytest.approx(0.4401, abs=1e-4)


def test_msis_is_width_and_penalties_in_units_of_the_scale():
    y, low, high = column(5.0, 12.0, 0.0), column(4.0, 4.0, 4.0), column(6.0, 6.0, 6.0)
    # Widths 2 each; outside by 6 and by 4, each counting 2 / 0.05 times.
    assert m4_measures.msis(y, low, high, np.array([2.0]))[0] == pytest.approx((2 * 3 + 40 * 10) / 3 / 2)


def test_covered_counts_the_bounds_in_and_knows_what_is_missing():
    found = m4_measures.covered(np.array([1.0, 2.0, 3.0, NAN]), np.ones(4), np.full(4, 2.0))
    np.testing.assert_array_equal(found, [1, 1, 0, NAN])


def test_the_share_of_worse_series_is_of_those_that_are_known():
    errors, rival = np.array([1.0, 3.0, NAN, 2.0]), np.array([2.0, 2.0, 2.0, 2.0])
    assert m4_measures.share_worse(errors, rival) == pytest.approx(1 / 3)


def test_naive2_repeats_the_last_value_of_a_series_without_a_season():
    trend = np.cumsum(np.random.default_rng(0).normal(size=(40, 1)), axis=0)
    np.testing.assert_allclose(naive2(trend, 3, season=7), np.repeat(trend[-1:], 3, axis=0))
    np.testing.assert_allclose(naive2(trend[:5], 2, season=7), np.repeat(trend[4:5], 2, axis=0))


@pytest.mark.parametrize("season", [4, 5])
def test_naive2_puts_the_season_back_on_the_last_level(season: int):
    shape = np.arange(1.0, season + 1)
    shape /= shape.mean()
    y = (10 * np.tile(shape, 8))[:, None] * np.array([[1.0, 100.0]])
    expected = 10 * shape[(len(y) + np.arange(6)) % season][:, None] * np.array([[1.0, 100.0]])
    np.testing.assert_allclose(naive2(y, 6, season), expected)
