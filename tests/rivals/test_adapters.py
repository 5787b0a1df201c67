"""Forecasters of mlforecast and statsforecast with the interface of ours."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("mlforecast")
pytest.importorskip("statsforecast")

from forecasting.adapters.mlforecast import MlforecastForecaster
from forecasting.adapters.statsforecast import StatsforecastForecaster
from forecasting.errors import ModelError
from forecasting.evaluation.metrics import mae
from forecasting.features.panel import Panel
from forecasting.registry import ModelSettings, Registry

pytestmark = [
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]
MODELS = "tests.rivals.models"


@pytest.fixture(scope="module")
def panel() -> Panel:
    rng = np.random.default_rng(0)
    hour = np.arange(760)[:, None]
    y = (20 + 5 * np.sin(hour / 24 * 2 * np.pi) + rng.normal(size=(760, 3))) * [1.0, 10.0, 100.0]
    y[100:110, 0], y[:300, 1] = np.nan, np.nan
    index = pd.date_range("2026-01-01", periods=760, freq="h", tz="UTC")
    return Panel.from_frames(pd.DataFrame(y, index=index, columns=["a", "b", "c"]))


@pytest.mark.parametrize(
    "make",
    [
        lambda: MlforecastForecaster(f"{MODELS}:boosted", horizon=12),
        lambda: StatsforecastForecaster(f"{MODELS}:decomposed", horizon=12, held_out=48),
    ],
    ids=["mlforecast", "statsforecast"],
)
def test_it_forecasts_and_a_registry_keeps_it(panel: Panel, tmp_path: Path, make):
    known, truth = panel.part(0, 748), panel.y[748:]
    model = make().fit(known)
    found = model.forecast(known)
    assert found.mean.shape == (12, 3)
    assert mae(truth[:, 2], found.mean[:, 2]) < 200
    assert (found.bounds["lo-95"] <= found.bounds["lo-80"]).all()
    assert (found.bounds["hi-95"] > found.bounds["lo-95"]).all()
    registry = Registry(str(tmp_path), ModelSettings())
    span = (datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC))
    version = registry.save("delay", "JFK", model, span, entities=3).version
    loaded = registry.fresh("delay", "JFK", version)
    assert np.allclose(loaded.forecast(known).mean, found.mean)
    assert {path.suffix for path in tmp_path.rglob("*") if path.is_file()} <= {".json", ".ubj", ".skops"}


def test_a_regressor_whose_only_format_is_pickle_is_refused_when_it_is_saved(panel: Panel, tmp_path: Path):
    model = MlforecastForecaster(f"{MODELS}:pickled", horizon=6, held_out=0).fit(panel)
    with pytest.raises(ModelError, match=r"a .*Own of tests.rivals.models cannot be kept.*only pickle"):
        model.save(tmp_path)


def test_a_function_that_cannot_be_found_is_named(panel: Panel):
    with pytest.raises(ModelError, match=r"make='tests.rivals.models:nothing' cannot be called"):
        StatsforecastForecaster(f"{MODELS}:nothing").fit(panel)
