"""PooledForecaster: a model a block of entities, fitted one after the other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from forecasting.errors import DataError, ModelError, NotFitted
from forecasting.features.panel import Panel
from forecasting.features.rows import FeatureSpec
from forecasting.models.global_forecaster import Fitting, GlobalForecaster
from forecasting.models.pooled_forecaster import PooledForecaster

SPEC = FeatureSpec(horizon=6)
FITTING = Fitting(rounds=5, quantile_rounds=5, max_rows=3_000)


def panel_of(names: str, hours: int = 500) -> Panel:
    rng = np.random.default_rng(0)
    hour = np.arange(hours)[:, None]
    y = (
        10
        + np.sin(hour / 24 * 2 * np.pi)
        + np.arange(len(names))
        + 0.1 * rng.normal(size=(hours, len(names)))
    )
    index = pd.date_range("2026-01-01", periods=hours, freq="h", tz="UTC")
    return Panel.from_frames(pd.DataFrame(y, index=index, columns=list(names)))


@pytest.fixture(scope="module")
def model() -> PooledForecaster:
    return PooledForecaster(SPEC, FITTING, block=3).fit(panel_of("abcdefg"))


def test_each_block_has_a_model_of_its_own_whatever_order_its_entities_come_in(model):
    panel = panel_of("abcdefg")
    alone = GlobalForecaster(SPEC, FITTING).fit(panel.of(slice(0, 3)))
    found = model.forecast(panel)
    assert found.entities == panel.entities
    assert np.allclose(found.mean[:, :3], alone.forecast(panel.of(slice(0, 3))).mean)
    some = Panel(panel.hours, ("g", "a"), panel.y[:, [6, 0]], panel.weight[:, [6, 0]])
    assert np.allclose(model.forecast(some).mean, found.mean[:, [6, 0]])
    assert model.forecast(panel, intervals=False).bounds == {}


def test_panels_may_come_one_after_the_other(model):
    panel, seen = panel_of("abcdefg"), []

    def shards():
        for columns in (slice(0, 3), slice(3, 7)):
            seen.append(columns)
            yield panel.of(columns)

    found = PooledForecaster(SPEC, FITTING, block=3).fit(shards()).forecast(panel)
    assert len(seen) == 2
    assert np.allclose(found.mean[:, :3], model.forecast(panel).mean[:, :3])
    assert np.isfinite(found.mean).all()


def test_an_entity_of_no_block_is_forecast_by_the_first(model):
    found = model.forecast(panel_of("axb"))
    assert np.isfinite(found.mean).all()


def test_it_is_kept_in_two_files_and_forecasts_the_same_when_loaded(model, tmp_path: Path):
    model.save(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"blocks.zip", "spec.json"}
    loaded, panel = PooledForecaster.load(tmp_path), panel_of("abcdefg")
    assert (loaded.spec, loaded.fitting, loaded.block) == (model.spec, model.fitting, 3)
    first, second = model.predict(panel.to_long()), loaded.predict(panel)
    assert np.allclose(first["mean"], second["mean"], rtol=1e-6)
    assert loaded.features == model.features


def test_errors_say_what_is_wrong(tmp_path: Path):
    with pytest.raises(NotFitted, match="not fitted"):
        PooledForecaster().forecast(panel_of("a"))
    with pytest.raises(DataError, match="no entities"):
        PooledForecaster().fit([])
    with pytest.raises(ModelError, match=f"no model can be read from {tmp_path}"):
        PooledForecaster.load(tmp_path)
