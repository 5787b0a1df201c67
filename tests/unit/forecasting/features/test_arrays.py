"""Arithmetic on arrays with holes: what is missing does not count."""

from __future__ import annotations

import numpy as np
import pytest

from forecasting.features.arrays import mean_of, or_longer, ratio, spread, trimmed

NAN = np.nan


def column(*values: float) -> list[np.ndarray]:
    return [np.array([[float(value)]]) for value in values]


@pytest.mark.parametrize(
    ("values", "mean"),
    [
        ((1, 2, 3, 100), 2.5),
        ((5, 1, NAN, 3), 3),
        ((1, 4), 2.5),
        ((NAN, 4), 4),
        ((7, 7, 7), 7),
        ((NAN, NAN), NAN),
    ],
)
def test_a_trimmed_mean_leaves_out_the_lowest_and_the_highest(values: tuple[float, ...], mean: float):
    np.testing.assert_allclose(trimmed(column(*values)), [[mean]])


def test_means_and_spreads_are_of_what_is_there():
    np.testing.assert_allclose(mean_of(column(1, NAN, 3)), [[2]])
    np.testing.assert_allclose(spread(column(1, NAN, 3)), [[1]])
    assert np.isnan(spread(column(NAN, NAN))).all()


def test_growth_is_known_between_values_above_zero_and_bounded():
    a, b = np.array([2.0, -1.0, 1e9, 1.0]), np.array([1.0, 1.0, 1.0, 0.0])
    np.testing.assert_allclose(ratio(a, b), [2, NAN, 10, NAN])


def test_a_window_without_a_value_has_that_of_the_next_longer_one():
    found = or_longer({1: np.array([NAN, 1.0]), 3: np.array([NAN, 3.0]), 9: np.array([9.0, 9.0])})
    np.testing.assert_allclose(np.stack(list(found.values())), [[9, 9], [9, 3], [9, 1]])
