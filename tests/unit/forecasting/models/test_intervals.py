"""Intervals: they cover what they promise, hold the mean, and do not shrink with lead."""

from __future__ import annotations

import numpy as np
import pytest

from forecasting.models.columns import BOUNDS
from forecasting.models.intervals import Conformal, alphas, tidy

HORIZON = 12


def held_out(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """Truths that spread more with lead, under bounds that know nothing of it."""
    rng = np.random.default_rng(seed)
    leads = rng.integers(1, HORIZON + 1, n)
    y = rng.normal(size=n) * (1 + leads / 4)
    return (
        leads,
        y,
        {"lo-80": -np.ones(n), "hi-80": np.ones(n), "lo-95": -np.ones(n) * 2, "hi-95": np.ones(n) * 2},
    )


def test_corrected_intervals_cover_their_level_at_every_lead():
    conformal = Conformal.measure(*held_out(20_000), HORIZON)
    leads, y, bounds = held_out(20_000, seed=1)
    widened = conformal.apply(leads, {name: b[:, None] for name, b in bounds.items()})
    for level in (80, 95):
        inside = (widened[f"lo-{level}"][:, 0] <= y) & (y <= widened[f"hi-{level}"][:, 0])
        for lead in range(1, HORIZON + 1):
            assert abs(inside[leads == lead].mean() - level / 100) < 0.05, (level, lead)


def test_intervals_do_not_shrink_with_lead():
    leads, y, bounds = held_out(5_000)
    conformal = Conformal.measure(
        leads, y[::-1] / leads, bounds, HORIZON
    )  # truths that spread less with lead
    every = np.arange(1, HORIZON + 1)
    applied = conformal.apply(every, {name: np.full((HORIZON, 1), b[0]) for name, b in bounds.items()})
    for level in (80, 95):
        width = (applied[f"hi-{level}"] - applied[f"lo-{level}"])[:, 0]
        assert (np.diff(width) > -1e-9).all()


def test_bounds_hold_the_mean_and_never_cross():
    rng = np.random.default_rng(0)
    mean = rng.normal(size=(50, 3))
    bounds = tidy(mean, {name: rng.normal(size=mean.shape) for name in BOUNDS})
    assert (bounds["lo-95"] <= bounds["lo-80"]).all()
    assert (bounds["lo-80"] <= mean).all()
    assert (mean <= bounds["hi-80"]).all()
    assert (bounds["hi-80"] <= bounds["hi-95"]).all()


def test_a_lead_past_the_horizon_is_widened_as_the_last_one():
    conformal = Conformal({80: (0.1, 0.5), 95: (0.0, 0.0)})
    bounds = {name: np.array([[0.0 if name.startswith("lo") else 1.0]]) for name in BOUNDS}
    assert conformal.apply(np.array([7]), bounds)["hi-80"][0, 0] == pytest.approx(1.5)


def test_nothing_to_measure_on_changes_nothing():
    empty = np.zeros(0)
    conformal = Conformal.measure(empty.astype(int), empty, dict.fromkeys(BOUNDS, empty), HORIZON)
    assert conformal == Conformal.none(HORIZON)
    assert Conformal.from_json(conformal.to_json()) == conformal


def test_the_quantiles_are_those_of_the_levels():
    assert alphas() == pytest.approx([0.025, 0.1, 0.9, 0.975])
