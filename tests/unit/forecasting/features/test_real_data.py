"""Data as they come: what each of their flaws does to a forecast."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from forecasting.errors import DataError
from forecasting.evaluation.metrics import mae
from forecasting.features.panel import Panel
from forecasting.features.rows import FeatureSpec
from forecasting.models.global_forecaster import Fitting, GlobalForecaster
from forecasting.models.naive import SeasonalNaive

SPEC = FeatureSpec(horizon=12)
FITTING = Fitting(rounds=40, quantile_rounds=15, depth=6, eta=0.15, max_rows=8_000)
HOURS, KNOWN = 900, 850


def long(seed: int = 0, hours: int = HOURS, entities: int = 6) -> pd.DataFrame:
    """Days with a rhythm, of which some are busier than others, all day long; a row an entity and hour."""
    rng = np.random.default_rng(seed)
    rhythm = 2 + np.sin(np.arange(hours) / 24 * 2 * np.pi)[:, None]
    busy = np.repeat(rng.uniform(0.5, 1.5, (-(-hours // 24), entities)), 24, axis=0)[:hours]
    y = rhythm * busy * 10 + 0.2 * rng.normal(size=(hours, entities))
    ds = pd.date_range("2026-01-05", periods=hours, freq="h", tz="UTC")
    frame = pd.DataFrame(y, index=ds, columns=[f"e{n}" for n in range(entities)]).rename_axis("ds")
    return frame.reset_index().melt("ds", var_name="unique_id", value_name="y")


@pytest.fixture(scope="module")
def clean() -> pd.DataFrame:
    return long()


@pytest.fixture(scope="module")
def history(clean: pd.DataFrame) -> pd.DataFrame:
    return before(clean, KNOWN)


@pytest.fixture(scope="module")
def model(history: pd.DataFrame) -> GlobalForecaster:
    return GlobalForecaster(SPEC, FITTING).fit(history)


def before(data: pd.DataFrame, hour: int) -> pd.DataFrame:
    return data[data["ds"] < data["ds"].min() + pd.Timedelta(hours=hour)]


def means(model: GlobalForecaster, data: pd.DataFrame) -> pd.DataFrame:
    return model.predict(data).pivot(index="ds", columns="unique_id", values="mean")


def truth(clean: pd.DataFrame, like: pd.DataFrame) -> np.ndarray:
    return clean.pivot(index="ds", columns="unique_id", values="y").loc[like.index, like.columns].to_numpy()


def test_unordered_and_repeated_rows_change_nothing(model: GlobalForecaster, history: pd.DataFrame):
    # Of a repeated hour the last row counts, so that a correction is appended to what it corrects.
    wrong = history.sample(200, random_state=0).assign(y=1e6)
    mixed = pd.concat([wrong, history.sample(frac=1, random_state=1)])
    pd.testing.assert_frame_equal(model.predict(mixed), model.predict(history))


def test_gaps_are_bridged(model: GlobalForecaster, history: pd.DataFrame, clean: pd.DataFrame):
    rng = np.random.default_rng(2)
    holes = history[rng.random(len(history)) > 0.1]
    cut = history["ds"].max() - pd.Timedelta(hours=40)
    holes = holes[(holes["unique_id"] != "e0") | ~holes["ds"].between(cut, cut + pd.Timedelta(hours=30))]
    found = means(model, holes)
    whole = means(model, history)
    assert np.isfinite(found.to_numpy()).all()
    assert mae(truth(clean, found), found.to_numpy()) < 1.5 * mae(truth(clean, whole), whole.to_numpy()) + 0.5


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e300])
def test_what_is_no_finite_number_is_a_missing_value(
    model: GlobalForecaster, history: pd.DataFrame, value: float
):
    bad = history.sample(50, random_state=3).index
    marked = history.copy()
    marked.loc[bad, "y"] = value
    pd.testing.assert_frame_equal(means(model, marked), means(model, history.drop(bad)))


def test_zeros_are_observations_and_are_forecast_as_zeros(model: GlobalForecaster, history: pd.DataFrame):
    shut = history.copy()
    shut.loc[shut["unique_id"] == "e1", "y"] = 0.0
    found = model.predict(shut)
    found = found[found["unique_id"] == "e1"]
    assert (found["mean"].abs() < 0.05).all()
    assert (found["lo-95"] >= 0).all()


@pytest.mark.parametrize("value", [7.0, -3e9, 1e-9])
def test_a_constant_is_forecast_as_itself(model: GlobalForecaster, history: pd.DataFrame, value: float):
    flat = history.copy()
    flat.loc[flat["unique_id"] == "e2", "y"] = value
    np.testing.assert_allclose(means(model, flat)["e2"], value, rtol=0.02)


def test_a_new_entity_is_forecast_from_its_first_hours_on(
    model: GlobalForecaster, history: pd.DataFrame, clean: pd.DataFrame
):
    """Entities that the model never saw: one of a few days, of a day and a half, of some hours, of one, and of none."""
    others = long(seed=8)
    known = {"e0": 80, "e1": 36, "e2": 5, "e3": 1}
    last = history["ds"].max()
    parts = [
        before(others, KNOWN).query("unique_id == @name and ds > @since")
        for name, since in ((name, last - pd.Timedelta(hours=hours)) for name, hours in known.items())
    ]
    young = pd.concat(parts).assign(unique_id=lambda part: "new-" + part["unique_id"])
    found = means(model, pd.concat([history, young]))
    actual = truth(others, found[["new-e0"]].rename(columns={"new-e0": "e0"}))
    mine = others[(others["unique_id"] == "e0") & (others["ds"] > last - pd.Timedelta(hours=24))]
    naive = mine["y"].to_numpy()[:12]
    assert mae(actual[:, 0], found["new-e0"].to_numpy()) < 1.2 * mae(actual[:, 0], naive)
    assert np.isfinite(found.to_numpy()).all()
    for name in ("new-e1", "new-e2", "new-e3"):
        assert found[name].between(0, 60).all()


def test_an_entity_without_any_observation_is_taken_for_a_usual_one(
    model: GlobalForecaster, history: pd.DataFrame
):
    panel = Panel.from_long(history)
    y, weight = panel.y.copy(), panel.weight.copy()
    y[:, 0], weight[:, 0] = np.nan, 0.0
    found = model.forecast(replace(panel, y=y, weight=weight))
    assert np.isfinite(found.mean).all()
    assert 5 < found.mean[:, 0].mean() < 40


def test_an_entity_that_vanished_is_forecast_from_what_it_was(model: GlobalForecaster, history: pd.DataFrame):
    gone = history[
        (history["unique_id"] != "e0") | (history["ds"] < history["ds"].max() - pd.Timedelta(days=9))
    ]
    found = means(model, gone)["e0"]
    usual = history.query("unique_id == 'e0'")["y"]
    assert found.between(usual.min() - 5, usual.max() + 5).all()


@pytest.mark.parametrize("factor", [1e12, 1e-12])
def test_the_unit_of_a_series_does_not_matter(
    model: GlobalForecaster, history: pd.DataFrame, clean: pd.DataFrame, factor: float
):
    scaled = history.copy()
    scaled.loc[scaled["unique_id"] == "e3", "y"] *= factor
    found, as_it_is = means(model, scaled), means(model, history)
    found["e3"] /= factor
    np.testing.assert_allclose(found, as_it_is, rtol=1e-4)


def test_a_negative_series_is_forecast_as_well_as_a_positive_one(history: pd.DataFrame, clean: pd.DataFrame):
    mirrored = history.copy()
    mirrored.loc[mirrored["unique_id"] == "e3", "y"] *= -1e6
    found = means(GlobalForecaster(SPEC, FITTING).fit(mirrored), mirrored)
    actual = truth(clean, found)
    assert (
        mae(actual[:, 3], found["e3"].to_numpy() / -1e6)
        < 1.5 * mae(actual, found.assign(e3=found["e3"] / -1e6).to_numpy()) + 0.5
    )


def test_what_never_was_negative_is_not_forecast_negative_and_what_was_may_be(history: pd.DataFrame):
    low = history.copy()
    low["y"] = np.maximum(low["y"] - 12, 0.0)
    floored = GlobalForecaster(SPEC, FITTING).fit(low)
    assert (floored.predict(low)[["mean", "lo-80", "lo-95"]] >= 0).all().all()
    below = low.copy()
    below.loc[below["unique_id"] == "e0", "y"] -= 50
    found = floored.predict(below).groupby("unique_id")["mean"].max()
    assert found["e0"] < -20
    assert found["e1"] >= 0


@pytest.mark.parametrize("zone", ["Europe/Berlin", "Asia/Kolkata", "America/New_York"])
def test_hours_of_any_time_zone_are_the_same_hours(model: GlobalForecaster, history: pd.DataFrame, zone: str):
    local = history.assign(ds=history["ds"].dt.tz_convert(zone))
    if zone == "Asia/Kolkata":  # its hours lie between those of UTC
        with pytest.raises(DataError, match="is not on the hour"):
            model.predict(history.assign(ds=history["ds"].dt.tz_localize(None).dt.tz_localize(zone)))
    pd.testing.assert_frame_equal(model.predict(local), model.predict(history))


def test_habits_of_the_clock_are_followed_over_the_change_of_the_clocks():
    """In Berlin 29 March 2026 has 23 hours: shops that open at 8 open an hour earlier by UTC from then on."""
    hours = pd.date_range("2026-02-09", "2026-03-29T21:00", freq="h", tz="UTC")
    local = hours.tz_convert("Europe/Berlin")
    rng = np.random.default_rng(0)
    size = rng.uniform(50, 100, (len(hours), 8))
    y = np.where(((local.hour >= 8) & (local.hour < 20))[:, None], size, 1.0)
    panel = Panel.from_frames(pd.DataFrame(y, index=hours, columns=[f"s{n}" for n in range(8)]))
    at = int(hours.get_indexer([pd.Timestamp("2026-03-29T05:00", tz="UTC")])[0])  # 7:00 in Berlin
    errors = {}
    for zone in ("Europe/Berlin", "UTC"):
        model = GlobalForecaster(FeatureSpec(horizon=12, timezone=zone), FITTING).fit(panel.part(0, at - 100))
        found = model.forecast_at(panel, np.array([at]), np.array([1])).mean
        errors[zone] = mae(panel.y[[at + 1]], found)
    assert errors["Europe/Berlin"] < 0.6 * errors["UTC"]


def test_a_plan_for_the_coming_hours_is_followed(tmp_path: Path):
    """Sales double while there is a promotion, which is known in advance; in `long` the plan's rows have no y."""
    rng = np.random.default_rng(0)
    data = long(hours=924)
    promotion = rng.random(924 * 6) < 0.3
    data = data.assign(
        promotion=promotion.astype(float), y=data["y"] * np.where(promotion, 2.0, 1.0), size=1.0
    )
    start = data["ds"].min() + pd.Timedelta(hours=900)
    given = data.assign(y=data["y"].where(data["ds"] < start))
    spec = replace(SPEC, future=("promotion",), static=("size",))
    planned = GlobalForecaster(spec, FITTING).fit(given)
    blind = GlobalForecaster(SPEC, FITTING).fit(given[given["ds"] < start])
    found = {
        name: means(m, d)
        for name, m, d in (("plan", planned, given), ("blind", blind, given[given["ds"] < start]))
    }
    assert (found["plan"].index[0], len(found["plan"])) == (start, 12)
    errors = {name: mae(truth(data, f), f.to_numpy()) for name, f in found.items()}
    assert errors["plan"] < 0.5 * errors["blind"]
    planned.save(tmp_path)
    pd.testing.assert_frame_equal(GlobalForecaster.load(tmp_path).predict(given), planned.predict(given))


def test_inputs_that_are_no_numbers_are_refused(history: pd.DataFrame):
    with pytest.raises(DataError, match="the static input 'city' holds values that are not numbers"):
        Panel.from_long(history.assign(city="Oslo"), static=["city"])


def test_a_model_is_better_than_the_naive_on_these_data(model: GlobalForecaster, clean: pd.DataFrame):
    panel = Panel.from_long(clean)
    origins = np.arange(KNOWN, HOURS - 13)
    leads = np.full(len(origins), 6)
    ours, naive = (m.forecast_at(panel, origins, leads).mean for m in (model, SeasonalNaive()))
    y = panel.y[origins + leads]
    assert mae(y, ours) < 0.7 * mae(y, naive)
