"""Features: known at the origin, the same in training and prediction, and the same for small and large entities."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecasting.errors import DataError
from forecasting.features.panel import Panel
from forecasting.features.rows import Features, FeatureSpec
from forecasting.features.trailing import Trailing

SPEC = FeatureSpec(
    horizon=24,
    lookback=336,
    kind="sparse",
    base=24,
    spans=(1, 3, 24),
    past=("queue",),
    future=("plan",),
    static=(),
)
SPECS = [pytest.param(SPEC, id="sparse"), pytest.param(replace(SPEC, kind="dense"), id="dense")]
HOURS, ENTITIES = 500, 4


@pytest.fixture(scope="module")
def panel() -> Panel:
    return make(seed=0)


def make(seed: int, start: str = "2026-01-01") -> Panel:
    rng = np.random.default_rng(seed)
    hours = pd.date_range(start, periods=HOURS, freq="h", tz="UTC")
    y = 10 + rng.normal(size=(HOURS, ENTITIES)) + np.sin(np.arange(HOURS) / 24 * 2 * np.pi)[:, None]
    y[rng.random(y.shape) < 0.2] = np.nan
    columns = [f"e{n}" for n in range(ENTITIES)]
    frame = pd.DataFrame(y, index=hours, columns=columns)
    weight = pd.DataFrame(rng.integers(1, 9, y.shape).astype(float), index=hours, columns=columns)
    # The plan is known for a day after the last hour.
    plan = pd.DataFrame(np.resize(y * 3, (HOURS + 24, ENTITIES)), columns=columns)
    plan.index = pd.date_range(hours[0], periods=HOURS + 24, freq="h")
    return Panel.from_frames(frame, weight, {"queue": frame * 2}, {"plan": plan})


def change_after(panel: Panel, row: int) -> Panel:
    """Another future: all values after a row are others."""
    other = make(seed=1)

    def mixed(mine: np.ndarray, theirs: np.ndarray) -> np.ndarray:
        return np.vstack([mine[: row + 1], 1000 * theirs[row + 1 :]])

    past = {name: mixed(panel.past[name], other.past[name]) for name in panel.past}
    return replace(panel, y=mixed(panel.y, other.y), weight=mixed(panel.weight, other.weight), past=past)


@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin"])
@settings(max_examples=15, deadline=None)
@given(origins=st.lists(st.integers(0, HOURS - 1), min_size=1, max_size=9), lead=st.integers(1, 24))
def test_no_feature_looks_at_the_future(spec: FeatureSpec, zone: str, origins: list[int], lead: int):
    panel = make(seed=0, start="2026-03-14")
    spec, last = replace(spec, timezone=zone), max(origins)
    at = (np.array(origins), np.full(len(origins), lead))
    mine, theirs = Features(panel, spec).at(*at), Features(change_after(panel, last), spec).at(*at)
    np.testing.assert_array_equal(mine.x, theirs.x)
    np.testing.assert_array_equal(mine.base, theirs.base)
    np.testing.assert_array_equal(mine.scale, theirs.scale)


@pytest.mark.parametrize("spec", SPECS)
def test_a_window_of_the_lookback_gives_what_the_whole_history_gives(panel: Panel, spec: FeatureSpec):
    origin, leads = HOURS - 1, np.arange(1, 25)
    # The scale is that of distances from the level, which itself looks back; so twice the lookback is exact.
    spec = replace(spec, lookback=168, seasons=(24,))
    window = panel.part(HOURS - 2 * spec.lookback - 24, HOURS)
    whole = Features(panel, spec).at(np.full(24, origin), leads)
    part = Features(window, spec).at(np.full(24, len(window) - 1), leads)
    np.testing.assert_allclose(part.x, whole.x, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("spec", SPECS)
def test_features_do_not_depend_on_an_entitys_unit(panel: Panel, spec: FeatureSpec):
    at = (np.array([400, 450]), np.array([1, 20]))
    spec = replace(spec, past=(), future=())
    ours = Features(panel, spec)
    theirs = Features(replace(panel, y=panel.y * 1e6), spec)
    np.testing.assert_allclose(theirs.at(*at).x, ours.at(*at).x, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(theirs.at(*at).scale, ours.at(*at).scale * 1e6)


@pytest.mark.parametrize("spec", SPECS)
def test_names_stand_for_the_columns(panel: Panel, spec: FeatureSpec):
    features = Features(panel, spec)
    x = features.at(np.array([400]), np.array([7])).x
    assert x.shape == (ENTITIES, len(features.names))
    assert len(set(features.names)) == len(features.names)
    assert (x[:, features.names.index("lead")] == 7).all()
    np.testing.assert_allclose(x[:, features.names.index("queue")], panel.past["queue"][400], rtol=1e-6)
    np.testing.assert_allclose(x[:, features.names.index("plan")], panel.future["plan"][407], rtol=1e-6)


def test_what_is_planned_is_known_after_the_last_hour_as_far_as_it_is_given(panel: Panel):
    features = Features(panel, SPEC)
    plan = features.names.index("plan")
    x = features.at(np.full(2, HOURS - 1), np.array([1, 24])).x[:, plan].reshape(2, -1)
    np.testing.assert_allclose(x, panel.future["plan"][[HOURS, HOURS + 23]], rtol=1e-6)
    shorter = replace(panel, future={"plan": panel.future["plan"][:HOURS]})
    assert np.isnan(Features(shorter, SPEC).at(np.array([HOURS - 1]), np.array([1])).x[:, plan]).all()


def test_a_number_of_the_entity_is_a_column(panel: Panel):
    size = np.arange(ENTITIES, dtype=float)
    features = Features(replace(panel, static={"size": size}), replace(SPEC, static=("size",)))
    assert features.at(np.array([400]), np.array([1])).x[:, features.names.index("size")].tolist() == [
        0,
        1,
        2,
        3,
    ]


def test_an_input_that_the_panel_lacks_is_named(panel: Panel):
    with pytest.raises(
        DataError, match=r"the panel lacks rain among its past inputs; it has queue\. Give past="
    ):
        Features(panel, FeatureSpec(past=("rain",)))


def test_the_base_of_dense_series_is_the_same_hour_of_the_newest_day_that_has_one(panel: Panel):
    y = np.nan_to_num(panel.y, nan=5.0)
    y[377:401, 0] = np.nan  # the same hour is missing on the last day: that of the day before holds
    dense = Features(replace(panel, y=y), replace(SPEC, kind="dense"))
    for lead, row in ((1, 353), (23, 375)):
        assert dense.at(np.array([400]), np.array([lead])).base[0, 0] == y[row, 0]
    y[:, 0] = np.nan
    y[190, 0] = 3.0  # only one hour of all was ever seen
    dense = Features(replace(panel, y=y), replace(SPEC, kind="dense"))
    assert dense.at(np.array([200]), np.array([5])).base[0, 0] == 3.0


def test_the_same_hour_is_that_of_the_clock_when_clocks_are_changed():
    hours = pd.date_range("2026-03-27", periods=72, freq="h", tz="UTC")  # in Berlin, 29 March has 23 hours
    panel = Panel.from_frames(pd.DataFrame({"a": np.arange(72.0)}, index=hours))
    spec = FeatureSpec(timezone="Europe/Berlin", kind="dense")
    origin = np.array([59])  # 29 March, 13:00 in Berlin
    base = Features(panel, spec).at(origin, np.array([1])).base[0, 0]
    local = hours.tz_convert("Europe/Berlin")
    assert local[int(base)].hour == local[60].hour == 14
    assert local[int(base)].day == 28


@pytest.mark.parametrize(
    ("seen", "weights", "kind"), [(1.0, 1, "dense"), (0.5, 1, "sparse"), (1.0, 9, "sparse")]
)
def test_the_kind_is_chosen_from_the_data(seen: float, weights: int, kind: str):
    rng = np.random.default_rng(0)
    hours = pd.date_range("2026-01-01", periods=300, freq="h", tz="UTC")
    y = pd.DataFrame(np.where(rng.random((300, 3)) < seen, 1.0, np.nan), index=hours, columns=list("abc"))
    y.iloc[:100, 0] = np.nan  # what was before an entity's first hour is not a gap
    weight = pd.DataFrame(rng.integers(1, 1 + weights, y.shape), index=hours, columns=list("abc"))
    assert FeatureSpec().chosen_for(Panel.from_frames(y, weight)).kind == kind


def test_the_level_is_long_where_levels_return_and_short_where_they_wander():
    rng = np.random.default_rng(0)
    hours = pd.date_range("2026-01-01", periods=1500, freq="h", tz="UTC")
    noise = rng.normal(size=(1500, 2))

    def base(y: np.ndarray) -> int | None:
        panel = Panel.from_frames(pd.DataFrame(y, index=hours, columns=["a", "b"]))
        return FeatureSpec(kind="sparse").chosen_for(panel).base

    assert base(noise) > 24
    assert base(np.cumsum(noise, axis=0)) == 24


def test_settings_that_make_no_sense_are_refused():
    with pytest.raises(ValueError, match=r"kind='wide' is unknown\. Use 'auto', 'dense' or 'sparse'\."):
        FeatureSpec(kind="wide")
    with pytest.raises(ValueError, match="give at least one season"):
        FeatureSpec(seasons=())


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


@pytest.mark.parametrize("values", [np.nan, 0.0, 5.0, -1e12, 1e99, 1e-99])
@pytest.mark.parametrize("spec", SPECS)
def test_entities_without_history_and_constants_have_a_base_and_a_scale(
    panel: Panel, spec: FeatureSpec, values: float
):
    y = panel.y.copy()
    y[:, 0] = values
    rows = Features(replace(panel, y=y, weight=np.where(np.isnan(y), 0.0, 1.0)), spec).at(
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
