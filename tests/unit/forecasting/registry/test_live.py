"""Training into the registry and forecasting from it: what is measured, what is made live, what serves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from forecasting.errors import ModelError
from forecasting.evaluation.gate_metrics import measure
from forecasting.features.panel import Panel
from forecasting.features.rows import FeatureSpec
from forecasting.flows.prediction import forecast
from forecasting.flows.training import train
from forecasting.models.global_forecaster import Fitting, GlobalForecaster
from forecasting.registry import ModelSettings, Registry

SPEC, FITTING = FeatureSpec(horizon=3), Fitting(rounds=3, quantile_rounds=2, max_rows=500)


def series(seed: int = 0, hours: int = 300) -> Panel:
    y = np.random.default_rng(seed).normal(size=(hours, 3)) + 5
    index = pd.date_range("2026-01-01", periods=hours, freq="h", tz="UTC")
    return Panel.from_frames(pd.DataFrame(y, index=index, columns=["a", "b", "c"]))


class Repeat:
    """Somebody else's estimator: it knows the long format, one origin, and nothing of intervals."""

    horizon = 3

    def __init__(self, off: float = 0.0) -> None:
        self.off = off

    def fit(self, data: Panel) -> Repeat:
        self.means_ = np.nanmean(data.y, axis=0).tolist()
        return self

    def predict(self, data: Panel) -> pd.DataFrame:
        hours = data.hours[-1] + pd.to_timedelta(np.arange(1, self.horizon + 1), unit="h")
        rows = [
            {"unique_id": entity, "ds": hour, "mean": mean + self.off}
            for entity, mean in zip(data.entities, self.means_, strict=True)
            for hour in hours
        ]
        return pd.DataFrame(rows)

    def save(self, folder: Path) -> None:
        (folder / "means.json").write_text(json.dumps([self.off, self.means_]))

    @classmethod
    def load(cls, folder: Path) -> Repeat:
        off, means = json.loads((folder / "means.json").read_text())
        found = cls(off)
        found.means_ = means
        return found


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(tmp_path / "models", ModelSettings())


def trained(registry: Registry, model: Any, panel: Panel | None = None, **options: Any):
    return train(
        registry, "delay", "JFK", series(hours=400) if panel is None else panel, model, check=100, **options
    )


def test_training_measures_saves_and_makes_live_and_forecasting_uses_it(registry: Registry):
    panel = series(hours=400)
    done = trained(registry, GlobalForecaster(SPEC, FITTING), panel, code="main", by="wave 7")
    assert set(done.manifest.metrics) == {"mae", "naive_mae", "cover-80", "cover-95"}
    assert done.manifest.metrics["mae"] < done.manifest.metrics["naive_mae"]
    assert done.live
    assert "times the seasonal naive's" in done.text
    assert registry.history("delay", "JFK")[0].by == "wave 7"
    assert done.manifest.kind == "forecasting:GlobalForecaster"
    assert "lead" in done.manifest.features
    pipes = forecast(registry, "delay", "JFK", panel)
    assert set(pipes) == {"a", "b", "c"}
    assert pipes["a"]["model"] == done.manifest.version
    assert len(pipes["a"]["mean"]) == 3


def test_a_loaded_global_model_forecasts_what_the_saved_one_did(registry: Registry):
    panel = series()
    model = GlobalForecaster(SPEC, FITTING)
    version = trained(registry, model, panel).manifest.version
    again = registry.fresh("delay", "JFK", version)
    np.testing.assert_array_equal(again.forecast(panel).mean, model.forecast(panel).mean)


def test_an_estimator_that_knows_only_predict_is_trained_measured_and_served(registry: Registry):
    panel = series(hours=400)
    done = trained(registry, Repeat(), panel)
    assert done.live
    assert set(done.manifest.metrics) == {"mae", "naive_mae"}
    assert done.manifest.metrics["mae"] == pytest.approx(0.8, abs=0.15)  # of a normal variable from its mean
    pipes = forecast(registry, "delay", "JFK", panel)
    assert pipes["b"]["mean"] == [pytest.approx(float(np.mean(panel.y[:, 1])), rel=1e-4)] * 3


def test_a_model_that_does_not_beat_the_seasonal_naive_is_kept_and_not_made_live(registry: Registry):
    done = trained(registry, Repeat(off=9.0))
    assert not done.live
    assert registry.versions("delay", "JFK") == [done.manifest.version]
    with pytest.raises(ModelError, match=r"was refused, its error .* times the seasonal naive's"):
        forecast(registry, "delay", "JFK", series())


def test_the_live_model_is_fitted_to_the_same_past_and_asked_about_the_same_hours(registry: Registry):
    first = trained(registry, Repeat(off=0.5))
    better = trained(registry, Repeat())
    assert better.live
    assert better.manifest.against == first.manifest.version
    assert better.manifest.metrics["live_mae"] == pytest.approx(first.manifest.metrics["mae"])
    worse = trained(registry, Repeat(off=0.6))
    assert not worse.live
    assert f"times that of the live {better.manifest.version}" in worse.text
    assert registry.live("delay", "JFK") == better.manifest.version


def test_a_successor_of_the_same_recipe_follows_with_newer_data_after_a_hard_week(registry: Registry):
    trained(registry, Repeat(), series(hours=400))
    hard = series(hours=450)
    hard.y[-60:] += 3 * (hard.y[-60:] - 5)
    later = trained(registry, Repeat(), hard)
    assert later.live
    assert later.manifest.metrics["live_mae"] == later.manifest.metrics["mae"]


def test_a_damaged_live_model_is_no_rival_and_the_pipes_say_which_one_served_instead(registry: Registry):
    first = trained(registry, Repeat(off=0.1)).manifest.version
    second = trained(registry, Repeat()).manifest.version
    key = f"delay/JFK/models/{second}/means.json"
    registry.files.remove([key])
    registry._loaded.clear()
    pipe = forecast(registry, "delay", "JFK", series())["a"]
    assert (pipe["model"], pipe["instead_of"]) == (first, second)
    assert trained(registry, Repeat(off=0.05)).live


def test_a_history_that_is_too_short_to_be_measured_is_trained_on_but_not_made_live(registry: Registry):
    done = trained(registry, GlobalForecaster(SPEC, FITTING), series(hours=70))
    assert done.manifest.metrics == {}
    assert not done.live
    assert "its history is too short" in done.text


def test_a_measure_is_taken_on_hours_that_the_model_has_not_seen():
    panel = series(hours=400)
    panel.y[-50:] = 100.0  # nobody can know
    assert measure(panel, GlobalForecaster(SPEC, FITTING), 50)["mae"] > 10


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ([1.0], "is to give a DataFrame with unique_id, ds and mean"),
        (
            pd.DataFrame({"unique_id": ["a"], "ds": [pd.Timestamp("2030-01-01", tz="UTC")], "mean": [1.0]}),
            "is to forecast the hours that follow 2026-01-13 11:00:00.*it gave 2030-01-01",
        ),
    ],
)
def test_an_estimator_that_answers_in_another_form_is_told_which(
    registry: Registry, answer, text, monkeypatch
):
    trained(registry, Repeat())
    monkeypatch.setattr(Repeat, "predict", lambda self, data: answer)
    with pytest.raises(ModelError, match=rf"Repeat.predict\(panel\) {text}"):
        forecast(registry, "delay", "JFK", series())


def test_what_was_rolled_back_does_not_return_by_itself_until_somebody_promotes(registry: Registry):
    first = trained(registry, Repeat(off=0.1)).manifest.version
    second = trained(registry, Repeat()).manifest.version
    registry.rollback("delay", "JFK", why="too wide", by="ann")
    for hours in (410, 420):
        held = trained(registry, Repeat(), series(hours=hours))
        assert not held.live
        assert f"{second} was rolled back, and a training wave does not go past that" in held.text
    assert registry.live("delay", "JFK") == first
    registry.promote("delay", "JFK", held.manifest.version, why="looked at it")
    assert trained(registry, Repeat(), series(hours=430)).live


def test_a_backfilled_training_does_not_replace_a_model_with_newer_data(registry: Registry):
    live = trained(registry, Repeat(), series(hours=400)).manifest.version
    older = trained(registry, Repeat(), series(hours=350))
    assert not older.live
    assert f"its data end at 2026-01-15T13, before those of the live {live}" in older.text
    assert registry.promote("delay", "JFK", older.manifest.version).changed  # by hand it may
