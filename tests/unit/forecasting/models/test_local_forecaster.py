"""LocalForecaster: a model an entity, kept in two files; what it does for entities of which little is known."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xgboost as xgb

from forecasting.errors import DataError, ModelError, NotFitted
from forecasting.evaluation.metrics import coverage, mae
from forecasting.features.panel import Panel
from forecasting.models import ridge
from forecasting.models.local import LocalForecaster, LocalSpec
from forecasting.models.local.lags import Lags, filled
from forecasting.models.local.trees import Trees
from forecasting.models.naive import SeasonalNaive
from forecasting.registry import ModelSettings, Registry

RIDGE = LocalSpec(kind="ridge", horizon=12)
TREES = LocalSpec(horizon=12, trees=10)
ENTITIES = 5


def values(hours: int = 1200, seed: int = 0) -> np.ndarray:
    """A day's rhythm, a drift that a good model follows, and noise; entities of very different size."""
    rng = np.random.default_rng(seed)
    drift = np.cumsum(rng.normal(size=(hours, ENTITIES)) * 0.3, axis=0)
    rhythm = 3 * np.sin(np.arange(hours) / 24 * 2 * np.pi)[:, None]
    return (40 + rhythm + drift + 0.3 * rng.normal(size=(hours, ENTITIES))) * 10.0 ** np.arange(ENTITIES)


def panel_of(y: np.ndarray, names: str = "abcdefgh") -> Panel:
    index = pd.date_range("2026-01-01", periods=len(y), freq="h", tz="UTC")
    return Panel.from_frames(pd.DataFrame(y, index=index, columns=list(names[: y.shape[1]])))


@pytest.fixture(scope="module")
def panel() -> Panel:
    return panel_of(values())


@pytest.fixture(scope="module", params=[RIDGE, TREES], ids=["ridge", "xgboost"])
def model(request, panel: Panel) -> LocalForecaster:
    return LocalForecaster(request.param).fit(panel.part(0, 900))


@pytest.fixture(scope="module")
def later(panel: Panel) -> tuple[np.ndarray, np.ndarray]:
    """Origins after the history that the models were fitted to, and leads."""
    return tuple(np.array([(o, lead) for o in range(900, 1185, 5) for lead in (1, 6, 12)]).T)


def test_it_beats_the_seasonal_naive_for_entities_of_any_size(panel, model, later):
    truth = panel.y[later[0] + later[1]]
    ours, naive = (m.forecast_at(panel, *later).mean for m in (model, SeasonalNaive()))
    for n in range(ENTITIES):
        assert mae(truth[:, n], ours[:, n]) < mae(truth[:, n], naive[:, n])


def test_its_intervals_cover_about_what_they_promise_and_do_not_cross(panel, model, later):
    found, truth = model.forecast_at(panel, *later), panel.y[later[0] + later[1]]
    bounds = found.bounds
    assert 0.65 < coverage(truth, bounds["lo-80"], bounds["hi-80"]) < 0.97
    assert coverage(truth, bounds["lo-95"], bounds["hi-95"]) > 0.85
    for low, high in pairwise(
        [bounds["lo-95"], bounds["lo-80"], found.mean, bounds["hi-80"], bounds["hi-95"]]
    ):
        assert (low <= high).all()


def test_an_older_forecast_has_a_wider_interval(panel, model, later):
    found = model.forecast_at(panel, *later)
    widths = [(found.bounds["hi-95"] - found.bounds["lo-95"])[later[1] == lead].mean() for lead in (1, 12)]
    assert widths[0] < widths[1]


def test_it_is_kept_in_two_files_and_forecasts_the_same_when_loaded(panel, model, tmp_path: Path):
    model.save(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"models.npz", "spec.json"}
    loaded, first = LocalForecaster.load(tmp_path), model.forecast(panel)
    assert loaded.spec == model.spec
    second = loaded.forecast(panel)
    assert np.array_equal(first.mean, second.mean)
    assert all(np.array_equal(first.bounds[name], second.bounds[name]) for name in first.bounds)


def test_a_registry_keeps_it_as_any_other_estimator(panel, tmp_path: Path):
    registry = Registry(str(tmp_path), ModelSettings())
    model = LocalForecaster(RIDGE).fit(panel)
    span = (datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC))
    stored = registry.save("delay", "JFK", model, span, entities=ENTITIES)
    assert stored.kind == "forecasting:LocalForecaster"
    assert stored.features == model.features
    found = registry.load("delay", "JFK", stored.version)
    assert np.array_equal(found.forecast(panel).mean, model.forecast(panel).mean)


def test_ten_thousand_models_take_some_tens_of_megabytes():
    assert LocalForecaster(RIDGE).fit(panel_of(values())).nbytes / (ENTITIES + 1) < 500
    whole = LocalForecaster(LocalSpec()).fit(panel_of(values()))
    assert whole.nbytes / (ENTITIES + 1) < 6_500


def test_the_long_format_gives_the_same_as_a_panel(panel):
    model = LocalForecaster(RIDGE).fit(panel.to_long())
    found = model.predict(panel.to_long())
    assert list(found.columns[:4]) == ["unique_id", "ds", "lead", "mean"]
    assert len(found) == ENTITIES * RIDGE.horizon
    assert np.allclose(found["mean"], LocalForecaster(RIDGE).fit(panel).predict(panel)["mean"])


def test_the_same_data_give_the_same_models_however_many_entities_are_beside_them(panel):
    one = panel_of(panel.y[:, :1])
    alone, among = (LocalForecaster(RIDGE).fit(p).forecast(one).mean for p in (one, panel))
    assert np.allclose(alone, among, rtol=1e-5)


def test_what_comes_after_an_origin_does_not_change_its_forecast(panel, model):
    origins, leads = np.full(12, 1000), np.arange(1, 13)
    other = replace(panel, y=np.where(np.arange(len(panel))[:, None] > 1000, -5.0 * panel.y, panel.y))
    assert np.allclose(
        model.forecast_at(panel, origins, leads).mean, model.forecast_at(other, origins, leads).mean
    )


def test_the_unit_of_a_series_does_not_matter(panel):
    small, large = (panel_of(panel.y * size) for size in (1e-6, 1e9))
    first, second = (LocalForecaster(RIDGE).fit(p).forecast(p).mean for p in (small, large))
    assert np.allclose(first * 1e15, second, rtol=1e-4)


def test_a_series_that_was_never_negative_stays_so_and_others_need_not():
    y = np.maximum(values() / 10.0 ** np.arange(ENTITIES) - 40, 0)
    y[:, 1] -= 30
    found = LocalForecaster(RIDGE).fit(panel_of(y)).forecast(panel_of(y))
    assert (found.mean[:, 0] >= 0).all()
    assert (found.bounds["lo-95"][:, 0] >= 0).all()
    assert (found.mean[:, 1] < 0).all()


def test_an_entity_that_was_not_there_has_the_model_of_all(panel, model):
    y = panel.y[:, [2, 0]]
    found = model.forecast(panel_of(y, "xa"))
    truth_like = model.forecast(panel).mean[:, 2]
    assert np.abs(found.mean[:, 0] / truth_like - 1).max() < 0.2
    assert np.allclose(found.mean[:, 1], model.forecast(panel).mean[:, 0])


def test_little_history_is_no_error_and_none_gives_no_forecast(panel, model):
    y = panel.y.copy()
    y[:-200, 0], y[:-5, 1], y[:, 2] = np.nan, np.nan, np.nan
    fitted = LocalForecaster(model.spec).fit(panel_of(y))
    for each in (model, fitted):
        found = each.forecast(panel_of(y))
        assert np.isfinite(found.mean[:, [0, 3, 4]]).all()
        assert (found.mean[:, 1] == y[-1, 1]).all()
        assert (found.bounds["lo-95"][:, 1] < y[-1, 1]).all()
        assert np.isnan(found.mean[:, 2]).all()


def test_gaps_and_constants_are_no_error(panel, model):
    y = panel.y.copy()
    y[300:400, 0], y[::7, 1], y[:, 2], y[:, 3] = np.nan, np.nan, 7.0, 0.0
    found = LocalForecaster(model.spec).fit(panel_of(y)).forecast(panel_of(y))
    assert np.isfinite(found.mean).all()
    assert np.allclose(found.mean[:, 2], 7.0, rtol=0.01)
    assert np.allclose(found.mean[:, 3], 0.0)


def test_one_season_alone_is_enough(panel):
    model = LocalForecaster(replace(RIDGE, seasons=(24,))).fit(panel)
    assert np.isfinite(model.forecast(panel).mean).all()
    assert not any("week" in name for name in model.features)


def test_a_horizon_longer_than_the_seasons_is_forecast(panel):
    spec = replace(RIDGE, horizon=200)
    found = LocalForecaster(spec).fit(panel).forecast(panel)
    assert found.mean.shape == (200, ENTITIES)
    assert np.isfinite(found.mean).all()


def test_too_little_history_is_an_error_that_says_what_is_needed(panel):
    with pytest.raises(
        DataError, match=r"300 hours with 1500 observations are too few.*no entity has more than"
    ):
        LocalForecaster(RIDGE).fit(panel.part(0, 300))
    with pytest.raises(DataError, match="0 observations"):
        LocalForecaster(RIDGE).fit(panel_of(np.full((900, 2), np.nan)))


def test_it_has_to_be_fitted_before_it_is_used(panel, tmp_path):
    with pytest.raises(NotFitted, match="not fitted"):
        LocalForecaster().forecast(panel)
    with pytest.raises(NotFitted, match="not fitted"):
        LocalForecaster().save(tmp_path)


def test_a_damaged_file_is_an_error_that_names_the_folder(model, tmp_path):
    with pytest.raises(ModelError, match=f"no model can be read from {tmp_path}"):
        LocalForecaster.load(tmp_path)
    model.save(tmp_path)
    (tmp_path / "models.npz").write_bytes((tmp_path / "models.npz").read_bytes()[:1000])
    with pytest.raises(ModelError, match=r"models\.npz is damaged"):
        LocalForecaster.load(tmp_path)


def test_unknown_kinds_and_empty_seasons_are_errors():
    with pytest.raises(ValueError, match=r"kind='forest' is unknown\. Use 'xgboost' or 'ridge'"):
        LocalSpec(kind="forest")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="at least one season"):
        LocalSpec(seasons=())


# -- the parts


def test_trees_say_the_same_as_xgboost():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, 300, 6)).astype(np.float32)
    trees, told = Trees.empty(2, 12, 4), []
    for entity in range(2):
        y = x[entity, :, 0] * 3 + np.where(x[entity, :, 1] > 0, x[entity, :, 2], 0)
        params = {"max_depth": 3 + entity, "base_score": 0.0, "nthread": 1, "min_child_weight": 20}
        booster = xgb.train(params, xgb.DMatrix(x[entity], y, nthread=1), 10 + 2 * entity)
        trees.put(entity, booster)
        told.append(booster.inplace_predict(x[entity]))
    assert np.allclose(trees.predict(x), np.stack(told), atol=1e-5)


def test_a_batch_of_ridges_is_what_each_would_be_alone():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(3, 40, 4)), rng.normal(size=(3, 40))
    x[0, :10], y[0, :10] = 0, 0
    penalties = np.full((3, 4), 2.0)
    found = ridge.fit(x, y, penalties, folds=4)
    for n in range(3):
        alone = np.linalg.solve(x[n].T @ x[n] + 2 * np.eye(4), x[n].T @ y[n])
        assert np.allclose(found.coefficients[n], alone)
        rest, part = np.r_[0:20, 30:40], np.r_[20:30]
        without = np.linalg.solve(x[n][rest].T @ x[n][rest] + 2 * np.eye(4), x[n][rest].T @ y[n][rest])
        assert np.allclose(found.without[2, n], without)
        assert np.allclose(found.errors[n, part], y[n, part] - x[n, part] @ without)


def test_features_know_nothing_of_what_comes_after_their_origin():
    y, lags = values(900), Lags((24, 168))
    leads = np.arange(1, 49)
    for count in (1, 30):  # a few origins are computed in another way than many
        origins = np.repeat(np.arange(700, 700 + count), len(leads))
        other = np.where(np.arange(900)[:, None] > origins.max(), 1e6, y)
        first, second = (lags.at(each, origins, np.tile(leads, count)) for each in (y, other))
        for name in ("x", "base", "scale"):
            assert np.allclose(getattr(first, name), getattr(second, name), rtol=1e-4, atol=1e-4)


def test_few_and_many_origins_have_the_same_features():
    y, lags = values(900), Lags((24, 168))
    y[500:520, 1] = np.nan
    origins, leads = np.arange(700, 760), np.full(60, 5)
    many, few = lags.at(y, origins, leads), lags.at(y, origins[:2], leads[:2])
    assert np.allclose(many.x[:, :2], few.x, rtol=1e-4, atol=1e-4)


def test_gaps_are_filled_from_the_season_before():
    y = np.arange(12.0).reshape(6, 2)
    y[3, 0], y[:4, 1] = np.nan, np.nan
    assert filled(y, 2)[:, 0].tolist() == [0, 2, 4, 2, 8, 10]
    assert filled(y, 2)[:, 1].tolist() == [9, 11, 9, 11, 9, 11]
    assert filled(np.full((4, 1), np.nan), 2).tolist() == [[0.0]] * 4


# What is known of the hours to come


def driven(noise: float = 1.0) -> tuple[Panel, np.ndarray]:
    """Series that follow an input, which jumps at random; and what they are."""
    rng = np.random.default_rng(3)
    heat = np.repeat(rng.normal(size=(120, ENTITIES)), 10, axis=0)
    y = 100 + 8 * heat * np.array([1, -1, 0.5, 2, 1.5]) + noise * rng.normal(size=heat.shape)
    index = pd.date_range("2026-01-01", periods=len(y), freq="h", tz="UTC")
    names = list("abcde")
    frame, known = (pd.DataFrame(each, index=index, columns=names) for each in (y, heat))
    return Panel.from_frames(frame, future={"heat": known}), y


@pytest.mark.parametrize("spec", [RIDGE, TREES], ids=["ridge", "xgboost"])
def test_each_entity_learns_how_it_follows_an_input(spec, tmp_path: Path):
    panel, y = driven()
    model = LocalForecaster(spec).fit(panel.part(0, 900))
    assert model.features[-1] == "heat"
    blind = LocalForecaster(replace(spec, future=())).fit(panel.part(0, 900))
    origins = np.arange(900, 1180, 7)
    leads = np.full(len(origins), 12)
    ours, theirs = (
        mae(y[origins + leads], m.forecast_at(panel, origins, leads).mean) for m in (model, blind)
    )
    assert ours < 0.7 * theirs
    model.save(tmp_path)
    again = LocalForecaster.load(tmp_path).forecast_at(panel, origins, leads)
    np.testing.assert_array_equal(again.mean, model.forecast_at(panel, origins, leads).mean)


def test_an_input_that_ends_early_is_taken_as_unchanged():
    panel, _ = driven()
    model = LocalForecaster(RIDGE).fit(panel.part(0, 900))
    short = replace(panel.part(0, 900), future={"heat": panel.future["heat"][:903]})
    found = model.forecast(short).mean
    assert np.isfinite(found).all()
    np.testing.assert_array_equal(found[:2], model.forecast(panel.part(0, 900)).mean[:2])


def test_an_input_that_is_no_longer_given_is_told():
    panel, _ = driven()
    model = LocalForecaster(RIDGE).fit(panel.part(0, 900))
    with pytest.raises(DataError, match="the panel lacks heat among its future inputs; it has none"):
        model.forecast(replace(panel, future={}))


def test_the_long_format_takes_inputs_too():
    panel, _ = driven()
    long = panel.part(0, 900).to_long()
    long["heat"] = panel.future["heat"][:900].T.ravel()
    model = LocalForecaster(replace(RIDGE, future=("heat",))).fit(long)
    assert model.features[-1] == "heat"
    assert len(model.predict(long)) == 12 * ENTITIES
