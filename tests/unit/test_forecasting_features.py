"""Features: known at the origin, the same in training and prediction, and the same for small and large entities."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecasting.features import Features, FeatureSpec
from forecasting.panel import Panel
from forecasting.trailing import Trailing

SPEC = FeatureSpec(horizon=24, lookback=336, spans=(1, 3, 24), past=("queue",))
HOURS, ENTITIES = 500, 4


@pytest.fixture(scope="module")
def panel() -> Panel:
    return make(seed=0)


def make(seed: int) -> Panel:
    rng = np.random.default_rng(seed)
    hours = pd.date_range("2026-01-01", periods=HOURS, freq="h", tz="UTC")
    y = 10 + rng.normal(size=(HOURS, ENTITIES)) + np.sin(np.arange(HOURS) / 24 * 2 * np.pi)[:, None]
    y[rng.random(y.shape) < 0.2] = np.nan
    columns = [f"e{n}" for n in range(ENTITIES)]
    frame = pd.DataFrame(y, index=hours, columns=columns)
    weight = pd.DataFrame(rng.integers(1, 9, y.shape).astype(float), index=hours, columns=columns)
    return Panel.from_frames(frame, weight, {"queue": frame * 2})


def change_after(panel: Panel, row: int) -> Panel:
    """Another future: all values after a row are others."""
    other = make(seed=1)

    def mixed(mine: np.ndarray, theirs: np.ndarray) -> np.ndarray:
        return np.vstack([mine[: row + 1], 1000 * theirs[row + 1 :]])

    past = {name: mixed(panel.past[name], other.past[name]) for name in panel.past}
    return replace(panel, y=mixed(panel.y, other.y), weight=mixed(panel.weight, other.weight), past=past)


@settings(max_examples=25, deadline=None)
@given(origin=st.integers(0, HOURS - 1), lead=st.integers(1, 24))
def test_no_feature_looks_at_the_future(origin: int, lead: int):
    panel = make(seed=0)
    at = (np.array([origin]), np.array([lead]))
    mine, theirs = Features(panel, SPEC).at(*at), Features(change_after(panel, origin), SPEC).at(*at)
    np.testing.assert_array_equal(mine.x, theirs.x)
    np.testing.assert_array_equal(mine.base, theirs.base)
    np.testing.assert_array_equal(mine.scale, theirs.scale)


def test_a_window_of_the_lookback_gives_what_the_whole_history_gives(panel: Panel):
    origin, leads = HOURS - 1, np.arange(1, 25)
    # The scale is that of distances from the level, which itself looks back; so twice the lookback is exact.
    spec = replace(SPEC, lookback=168, seasons=(24,))
    window = panel.part(HOURS - 2 * spec.lookback - 24, HOURS)
    whole = Features(panel, spec).at(np.full(24, origin), leads)
    part = Features(window, spec).at(np.full(24, len(window) - 1), leads)
    np.testing.assert_allclose(part.x, whole.x, rtol=1e-4, atol=1e-5)


def test_features_do_not_depend_on_an_entitys_unit(panel: Panel):
    at = (np.array([400, 450]), np.array([1, 20]))
    spec = replace(SPEC, past=())
    ours = Features(panel, spec)
    theirs = Features(replace(panel, y=panel.y * 1e6), spec)
    np.testing.assert_allclose(theirs.at(*at).x, ours.at(*at).x, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(theirs.at(*at).scale, ours.at(*at).scale * 1e6)


def test_names_stand_for_the_columns(panel: Panel):
    features = Features(panel, SPEC)
    x = features.at(np.array([400]), np.array([7])).x
    assert x.shape == (ENTITIES, len(features.names))
    assert len(set(features.names)) == len(features.names)
    assert (x[:, features.names.index("lead")] == 7).all()
    np.testing.assert_allclose(x[:, features.names.index("queue")], panel.past["queue"][400], rtol=1e-6)


def test_the_last_same_hour_is_that_of_the_target(panel: Panel):
    features = Features(panel, SPEC)
    for lead, row in ((1, 377), (24, 400), (10, 386)):
        rows = features.at(np.array([400]), np.array([lead]))
        value = rows.x[:, features.names.index("last 24h")] * rows.scale[0] + rows.base[0]
        np.testing.assert_allclose(value, panel.y[row], rtol=1e-5)


def test_hours_and_weekdays_are_those_of_the_time_zone(panel: Panel):
    def calendar(zone: str) -> tuple[float, float]:
        features = Features(panel, replace(SPEC, timezone=zone))
        x = features.at(np.array([2]), np.array([1])).x[0]  # the hour 03:00 UTC of Thursday, 1 January 2026
        return x[features.names.index("hour")], x[features.names.index("weekday")]

    assert calendar("UTC") == (3, 3)
    assert calendar("America/New_York") == (22, 2)


@pytest.mark.parametrize("values", [np.nan, 0.0, 5.0, -1e12])
def test_entities_without_history_and_constants_have_a_base_and_a_scale(panel: Panel, values: float):
    y = panel.y.copy()
    y[:, 0] = values
    rows = Features(replace(panel, y=y, weight=np.where(np.isnan(y), 0.0, 1.0)), SPEC).at(
        np.array([450]), np.array([1])
    )
    assert np.isfinite(rows.base).all()
    assert (rows.scale > 0).all()
    assert not np.isinf(rows.x).any()


@given(st.integers(1, 30), st.integers(1, 5), st.data())
def test_trailing_sums_are_the_sums_of_the_rows(count: int, step: int, data: st.DataObject):
    values = np.random.default_rng(0).normal(size=(40, 2))
    row = data.draw(st.integers(0, 39))
    rows = [r for r in range(row, row - count * step, -step) if r >= 0]
    got = Trailing(values, step).at(np.array([row]), count)
    np.testing.assert_allclose(got[0], values[rows].sum(axis=0), atol=1e-12)
