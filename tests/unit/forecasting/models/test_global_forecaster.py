"""GlobalForecaster: it learns, it is reproducible, it is saved and loaded, and it says what it lacks."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from forecasting.errors import DataError, ModelError, NotFitted
from forecasting.evaluation.metrics import coverage, mae
from forecasting.features.panel import Panel
from forecasting.features.rows import FeatureSpec
from forecasting.models.forecasts import Forecasts
from forecasting.models.global_forecaster import Fitting, GlobalForecaster
from forecasting.models.naive import SeasonalNaive

SPEC = FeatureSpec(horizon=12)
FITTING = Fitting(rounds=40, quantile_rounds=30, eta=0.15, max_rows=6_000)
COLUMNS = ["unique_id", "ds", "lead", "mean", "lo-80", "hi-80", "lo-95", "hi-95"]


def series(hours: int = 1000, entities: int = 5, seed: int = 0) -> Panel:
    """A day's rhythm, a slow drift that a good model follows, and noise; entities of very different size."""
    rng = np.random.default_rng(seed)
    drift = np.cumsum(rng.normal(size=(hours, entities)) * 0.3, axis=0)
    rhythm = 3 * np.sin(np.arange(hours) / 24 * 2 * np.pi)[:, None]
    size = 10.0 ** np.arange(entities)
    y = (20 + rhythm + drift + 0.3 * rng.normal(size=(hours, entities))) * size
    index = pd.date_range("2026-01-01", periods=hours, freq="h", tz="UTC")
    return Panel.from_frames(pd.DataFrame(y, index=index, columns=[f"e{n}" for n in range(entities)]))


@pytest.fixture(scope="module")
def panel() -> Panel:
    return series()


@pytest.fixture(scope="module")
def model(panel: Panel) -> GlobalForecaster:
    return GlobalForecaster(SPEC, FITTING).fit(panel.part(0, 800))


@pytest.fixture(scope="module")
def later(panel: Panel) -> tuple[np.ndarray, np.ndarray]:
    """Origins after the history that the model was fitted to, and leads."""
    return tuple(np.array([(o, lead) for o in range(800, 985, 3) for lead in (1, 6, 12)]).T)


def test_it_beats_the_seasonal_naive_for_entities_of_any_size(panel: Panel, model: GlobalForecaster, later):
    truth = panel.y[later[0] + later[1]]
    ours, naive = (m.forecast_at(panel, *later).mean for m in (model, SeasonalNaive()))
    for n in range(len(panel.entities)):
        assert mae(truth[:, n], ours[:, n]) < mae(truth[:, n], naive[:, n])


def test_its_intervals_cover_about_what_they_promise_and_do_not_cross(panel: Panel, model, later):
    found = model.forecast_at(panel, *later)
    truth, bounds = panel.y[later[0] + later[1]], found.bounds
    assert 0.65 < coverage(truth, bounds["lo-80"], bounds["hi-80"]) < 0.95
    assert coverage(truth, bounds["lo-95"], bounds["hi-95"]) > 0.85
    order = [bounds["lo-95"], bounds["lo-80"], found.mean, bounds["hi-80"], bounds["hi-95"]]
    for low, high in pairwise(order):
        assert (low <= high).all()


def test_an_older_forecast_is_worse_and_has_a_wider_interval(panel: Panel, model, later):
    found, truth = model.forecast_at(panel, *later), panel.y[later[0] + later[1]]
    errors, widths = [], []
    for lead in (1, 12):
        rows = later[1] == lead
        scale = panel.y[:800].mean(axis=0)
        errors.append(mae(truth[rows] / scale, found.mean[rows] / scale))
        widths.append(((found.bounds["hi-95"] - found.bounds["lo-95"])[rows] / scale).mean())
    assert errors[0] < errors[1]
    assert widths[0] < widths[1]


def test_an_entity_that_it_has_never_seen_is_forecast_too(model: GlobalForecaster, later):
    other = series(seed=9)
    truth = other.y[later[0] + later[1]]
    assert mae(truth, model.forecast_at(other, *later).mean) < mae(
        truth, SeasonalNaive().forecast_at(other, *later).mean
    )


def test_the_long_format_goes_in_and_comes_out(panel: Panel):
    data = panel.part(0, 800).to_long()
    forecast = GlobalForecaster(SPEC, FITTING).fit(data).predict(data)
    assert list(forecast.columns) == COLUMNS
    assert len(forecast) == 12 * len(panel.entities)
    first = forecast[forecast["unique_id"] == "e0"]
    assert first["lead"].tolist() == list(range(1, 13))
    assert first["ds"].iloc[0] == panel.hours[800]


def test_the_same_data_give_the_same_model(panel: Panel, model: GlobalForecaster):
    again = GlobalForecaster(SPEC, FITTING).fit(panel.part(0, 800))
    np.testing.assert_array_equal(again.forecast(panel).mean, model.forecast(panel).mean)


def test_a_robust_loss_is_drawn_less_by_what_is_far_off(panel: Panel):
    y = panel.y.copy()
    y[np.random.default_rng(3).random(len(y)) < 1 / 17] *= 8
    wild = Panel.from_frames(pd.DataFrame(y, index=panel.hours, columns=list(panel.entities)))
    means = {
        loss: GlobalForecaster(SPEC, Fitting(loss=loss, max_rows=4_000, rounds=40))
        .fit(wild)
        .forecast(wild)
        .mean
        for loss in ("squared", "robust")
    }
    assert np.median(means["robust"] / means["squared"]) < 0.95


def test_a_loss_that_it_does_not_know_is_refused():
    with pytest.raises(ValueError, match=r"members=0 make no model\. Use 1 or more\."):
        Fitting(members=0)
    with pytest.raises(ValueError, match=r"quantile_members=0 make no model\. Use 1 or more\."):
        Fitting(quantile_members=0)
    with pytest.raises(ValueError, match=r"loss='sqaured' is unknown\. Use 'robust' or 'squared'\."):
        Fitting(loss="sqaured")


def test_a_saved_model_forecasts_the_same_after_loading(
    panel: Panel, model: GlobalForecaster, tmp_path: Path
):
    model.save(tmp_path)
    loaded = GlobalForecaster.load(tmp_path)
    assert loaded.spec == model.spec
    assert loaded.features == model.features
    mine, theirs = model.forecast(panel), loaded.forecast(panel)
    np.testing.assert_array_equal(mine.mean, theirs.mean)
    for name in mine.bounds:
        np.testing.assert_array_equal(mine.bounds[name], theirs.bounds[name])


def test_what_cannot_be_read_is_an_error_that_says_what_to_do(model: GlobalForecaster, tmp_path: Path):
    with pytest.raises(ModelError, match="Train it again"):
        GlobalForecaster.load(tmp_path)
    model.save(tmp_path)
    (tmp_path / "mean.ubj").write_bytes(b"no model")
    with pytest.raises(ModelError, match="no model can be read"):
        GlobalForecaster.load(tmp_path)


def test_a_model_of_other_features_says_so(panel: Panel, model: GlobalForecaster, tmp_path: Path):
    model.save(tmp_path)
    stored = json.loads((tmp_path / "spec.json").read_text())
    stored["chosen"]["seasons"] = [24]  # as an earlier version made fewer
    (tmp_path / "spec.json").write_text(json.dumps(stored))
    older = GlobalForecaster.load(tmp_path)
    with pytest.raises(
        ModelError, match=r"fitted to \d+ features, and this version .* makes \d+\. Train it again"
    ):
        older.forecast(panel)


def test_members_that_are_fitted_at_once_are_those_that_are_fitted_one_by_one(panel: Panel):
    few = replace(FITTING, rounds=5, quantile_rounds=3, max_rows=2_000)
    one, two = (GlobalForecaster(SPEC, replace(few, threads=n)).fit(panel).forecast(panel) for n in (1, 2))
    np.testing.assert_array_equal(one.mean, two.mean)
    np.testing.assert_array_equal(one.bounds["hi-95"], two.bounds["hi-95"])


@pytest.mark.parametrize(("members", "quantile_members"), [(1, 2), (3, 1)])
def test_each_model_has_as_many_members_as_were_asked_for(
    panel: Panel, tmp_path: Path, members: int, quantile_members: int
):
    few = Fitting(
        members=members, quantile_members=quantile_members, rounds=3, quantile_rounds=2, max_rows=1_000
    )
    model = GlobalForecaster(SPEC, few).fit(panel)
    model.save(tmp_path)
    kept = sorted(path.name for path in tmp_path.glob("*.ubj"))
    assert len([name for name in kept if name.startswith("mean")]) == members
    assert len([name for name in kept if name.startswith("quantiles")]) == quantile_members
    loaded = GlobalForecaster.load(tmp_path)
    np.testing.assert_array_equal(
        loaded.forecast(panel).bounds["lo-80"], model.forecast(panel).bounds["lo-80"]
    )


def test_an_unfitted_model_says_so(panel: Panel, tmp_path: Path):
    with pytest.raises(NotFitted, match="Call fit"):
        GlobalForecaster().forecast(panel)
    with pytest.raises(NotFitted):
        GlobalForecaster().save(tmp_path)


@pytest.mark.parametrize("hours", [1, 5, 24])
def test_too_little_history_is_refused(panel: Panel, hours: int):
    with pytest.raises(DataError, match=f"^{hours} hours with {hours * 5} observations are too few"):
        GlobalForecaster(SPEC, FITTING).fit(panel.part(0, hours))


def test_series_that_end_or_begin_or_never_were_are_forecast_with_numbers(panel: Panel):
    y = panel.y.copy()
    y[:600, 0] = y[500:, 1] = y[:, 2] = np.nan
    y[:, 3] = 7.0
    holes = Panel.from_frames(pd.DataFrame(y, index=panel.hours, columns=list(panel.entities)))
    found = GlobalForecaster(SPEC, FITTING).fit(holes).forecast(holes)
    assert np.isfinite(found.mean).all()
    np.testing.assert_allclose(found.mean[:, 3], 7.0, rtol=0.05)


def test_a_pipe_holds_a_list_a_column_rounded_and_is_plain_json(panel: Panel, model: GlobalForecaster):
    found = model.forecast(panel)
    pipes = found.to_pipes("v1")
    assert set(pipes) == set(panel.entities)
    value = pipes["e3"]
    assert set(value) == {*COLUMNS[3:], "model"}
    assert value["model"] == "v1"
    assert [len(value[name]) for name in COLUMNS[3:]] == [12] * 5
    np.testing.assert_allclose(value["mean"], found.mean[:, 3], rtol=1e-5)
    assert json.loads(json.dumps(value)) == value
    assert len(json.dumps(value)) < 1500


def test_small_numbers_and_zero_keep_their_digits_in_a_pipe():
    mean = np.array([[0.0], [1.23456789e-7], [-98765.4321]])
    issued = pd.DatetimeIndex(["2026-01-01"] * 3, tz="UTC")
    stored = Forecasts(("a",), issued, np.arange(1, 4), mean, {}).to_pipes()["a"]
    assert stored == {"mean": [0.0, 1.23457e-7, -98765.4]}
