"""Regressors of scikit-learn over our features, with the interface of our estimators."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

if not os.environ.get("CI"):
    pytest.importorskip("sklearn")
    pytest.importorskip("skops")

from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from xgboost import XGBRegressor

from forecasting.adapters.regressor import RegressorForecaster
from forecasting.errors import DataError, ModelError, NotFitted
from forecasting.evaluation.metrics import coverage, mae
from forecasting.features.panel import Panel
from forecasting.models.naive import SeasonalNaive
from forecasting.registry.estimator_calls import forecaster
from forecasting.registry.manifest import recipe_of

REGRESSORS = {
    "boosted": HistGradientBoostingRegressor(max_iter=40),
    "ridge": make_pipeline(SimpleImputer(), StandardScaler(), Ridge()),
    "xgboost": XGBRegressor(n_estimators=40, max_depth=4, n_jobs=1),
}


@pytest.fixture(scope="module")
def panel() -> Panel:
    rng = np.random.default_rng(0)
    drift = np.cumsum(rng.normal(size=(1000, 4)) * 0.3, axis=0)
    rhythm = 3 * np.sin(np.arange(1000) / 24 * 2 * np.pi)[:, None]
    y = (40 + rhythm + drift + 0.3 * rng.normal(size=(1000, 4))) * 10.0 ** np.arange(4)
    index = pd.date_range("2026-01-01", periods=1000, freq="h", tz="UTC")
    return Panel.from_frames(pd.DataFrame(y, index=index, columns=list("abcd")))


@pytest.mark.timeout(400)  # threads of OpenMP that find no core free wait for each other
@pytest.mark.parametrize("name", REGRESSORS)
def test_a_regressor_forecasts_and_is_kept_without_pickle(panel: Panel, tmp_path: Path, name: str):
    model = RegressorForecaster(REGRESSORS[name], max_rows=8_000, horizon=12).fit(panel.part(0, 900))
    origins, leads = np.repeat(np.arange(900, 985, 12), 12), np.tile(np.arange(1, 13), 8)
    found, truth = forecaster(model).forecast_at(panel, origins, leads), panel.y[origins + leads]
    scale = panel.y.mean(axis=0)
    naive = SeasonalNaive().forecast_at(panel, origins, leads).mean
    assert mae(truth / scale, found.mean / scale) < mae(truth / scale, naive / scale)
    assert coverage(truth, found.bounds["lo-95"], found.bounds["hi-95"]) > 0.85
    model.save(tmp_path)
    assert {path.suffix for path in tmp_path.iterdir()} <= {".json", ".ubj", ".skops"}
    loaded = RegressorForecaster.load(tmp_path)
    assert np.allclose(loaded.forecast(panel).mean, model.forecast(panel).mean)
    assert recipe_of(loaded) == recipe_of(model)


def test_a_regressor_learns_from_all_inputs_and_knows_them_once_loaded(panel: Panel, tmp_path: Path):
    known = np.vstack([panel.y, panel.y[:24]])
    told = replace(panel, future={"heat": known}, past={"rain": panel.y}, static={"seats": np.arange(4.0)})
    model = RegressorForecaster(REGRESSORS["xgboost"], max_rows=2_000, horizon=6, held_out=0).fit(told)
    model.save(tmp_path)
    loaded = RegressorForecaster.load(tmp_path)
    assert np.array_equal(loaded.forecast(told).mean, model.forecast(told).mean)
    with pytest.raises(DataError, match="the panel lacks rain among its past inputs; it has none"):
        loaded.forecast(panel)


def test_own_code_in_a_model_is_refused_when_it_is_saved(panel: Panel, tmp_path: Path):
    doubling = make_pipeline(FunctionTransformer(_doubled), SimpleImputer(), StandardScaler(), Ridge())
    model = RegressorForecaster(doubling, max_rows=2_000, horizon=6, held_out=0).fit(panel)
    with pytest.raises(ModelError, match=r"_doubled.*which cannot be kept"):
        model.save(tmp_path)


def test_a_model_of_another_library_is_refused_when_it_is_saved(panel: Panel, tmp_path: Path):
    model = RegressorForecaster(_Mean(), max_rows=2_000, horizon=6, held_out=0).fit(panel)
    with pytest.raises(ModelError, match=r"a _Mean of .* cannot be kept: what is known of it is only pickle"):
        model.save(tmp_path)


def test_errors_say_what_is_wrong(panel: Panel, tmp_path: Path):
    model = RegressorForecaster(Ridge())
    with pytest.raises(NotFitted, match="not fitted"):
        model.forecast(panel)
    with pytest.raises(DataError, match=r"200 hours are too few.* hold 168 of them out"):
        model.fit(panel.part(0, 200))
    with pytest.raises(ModelError, match=f"no model can be read from {tmp_path}"):
        RegressorForecaster.load(tmp_path)


def test_an_entity_without_any_observation_has_no_forecast(panel: Panel):
    model = RegressorForecaster(REGRESSORS["xgboost"], max_rows=2_000, horizon=6).fit(panel)
    y = panel.y.copy()
    y[:, 1] = np.nan
    empty = Panel(panel.hours, panel.entities, y, np.where(np.isnan(y), 0.0, 1.0))
    found = model.forecast(empty)
    assert np.isnan(found.mean[:, 1]).all()
    assert np.isfinite(found.mean[:, [0, 2, 3]]).all()


def _doubled(x: np.ndarray) -> np.ndarray:
    return 2 * x


class _Mean:
    def fit(self, x: np.ndarray, y: np.ndarray) -> None:
        self.n_features_in_ = x.shape[1]

    def predict(self, x: np.ndarray) -> np.ndarray:
        return np.zeros(len(x))
