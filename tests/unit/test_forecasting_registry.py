"""The registry of models: versions that never change, one of them live, damage that is seen."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from forecasting.errors import ModelError
from forecasting.features import FeatureSpec
from forecasting.model import Fitting, GlobalForecaster
from forecasting.panel import Panel
from forecasting.registry import Registry
from forecasting.serving import forecast, measure, train

SPAN = (datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 5, 3, tzinfo=UTC))
SPEC, FITTING = FeatureSpec(horizon=3), Fitting(rounds=3, quantile_rounds=2, max_rows=500)


def series(seed: int = 0, hours: int = 300) -> Panel:
    y = np.random.default_rng(seed).normal(size=(hours, 3)) + 5
    index = pd.date_range("2026-01-01", periods=hours, freq="h", tz="UTC")
    return Panel.from_frames(pd.DataFrame(y, index=index, columns=["a", "b", "c"]))


def fitted(seed: int = 0) -> GlobalForecaster:
    return GlobalForecaster(SPEC, FITTING).fit(series(seed))


@pytest.fixture(scope="module")
def models() -> list[GlobalForecaster]:
    return [fitted(0), fitted(1)]


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(tmp_path / "models")


def save(registry: Registry, model: GlobalForecaster, **options):
    return registry.save("delay", "JFK", model, SPAN, entities=3, **options)


def test_a_saved_model_is_live_and_comes_back_with_its_manifest(registry: Registry, models):
    manifest = save(registry, models[0], metrics={"mae": 1.5}, code="main")
    loaded, version = registry.load("delay", "JFK")
    assert version == manifest.version == registry.live("delay", "JFK")
    assert version.startswith("2026-01-05T03-")
    panel = series()
    np.testing.assert_array_equal(loaded.forecast(panel).mean, models[0].forecast(panel).mean)
    stored = registry.manifest("delay", "JFK", version)
    assert stored == manifest
    assert (stored.first, stored.last, stored.entities, stored.code) == (
        "2026-01-01T00",
        "2026-01-05T03",
        3,
        "main",
    )
    assert stored.metrics == {"mae": 1.5}
    assert "lead" in stored.features
    assert set(stored.sha256) == {"mean.ubj", "quantiles.ubj", "spec.json"}


def test_saving_the_same_model_again_changes_nothing(registry: Registry, models):
    first = save(registry, models[0])
    folder = registry.root / "delay" / "JFK" / first.version
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert save(registry, models[0], metrics={"mae": 9.0}).version == first.version
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == before
    assert [path.name for path in folder.parent.iterdir() if path.name.startswith(".")] == []


def test_an_earlier_version_can_be_made_live_again(registry: Registry, models):
    first, second = (save(registry, model) for model in models)
    assert registry.live("delay", "JFK") == second.version
    assert set(registry.versions("delay", "JFK")) == {first.version, second.version}
    registry.promote("delay", "JFK", first.version)
    assert registry.load("delay", "JFK")[1] == first.version


def test_a_model_may_be_kept_without_being_live(registry: Registry, models):
    save(registry, models[0])
    later = save(registry, models[1], live=False)
    assert registry.live("delay", "JFK") != later.version


def test_a_live_model_is_read_from_disk_once(registry: Registry, models):
    save(registry, models[0])
    assert registry.load("delay", "JFK")[0] is registry.load("delay", "JFK")[0]


@pytest.mark.parametrize(
    ("damage", "text"),
    [
        (
            lambda f: (f / "mean.ubj").write_bytes(b"x"),
            "mean.ubj is damaged: it is not the file that was saved",
        ),
        (lambda f: (f / "quantiles.ubj").unlink(), "quantiles.ubj is missing"),
        (lambda f: (f / "manifest.json").write_text("{"), r"the manifest .* cannot be read"),
    ],
)
def test_damage_is_seen_when_a_model_is_loaded(registry: Registry, models, damage, text: str):
    manifest = save(registry, models[0])
    damage(registry.root / "delay" / "JFK" / manifest.version)
    with pytest.raises(ModelError, match=text):
        registry.load("delay", "JFK")


def test_without_a_live_model_the_error_says_what_to_do(registry: Registry):
    with pytest.raises(ModelError, match=r"no model of 'delay' for 'JFK' is live in .*Run the training flow"):
        registry.load("delay", "JFK")


def test_an_unknown_version_is_answered_with_the_near_ones(registry: Registry, models):
    version = save(registry, models[0]).version
    with pytest.raises(ModelError, match=f"Did you mean '{version}'"):
        registry.promote("delay", "JFK", version[:-1])


@pytest.mark.parametrize("partition", ["..", "a/b"])
def test_a_partition_cannot_lead_out_of_the_folder(registry: Registry, models, partition: str):
    with pytest.raises(ModelError, match="cannot name a folder"):
        registry.save("delay", partition, models[0], SPAN, entities=1)


def test_training_measures_saves_and_makes_live_and_forecasting_uses_it(registry: Registry):
    panel = series(hours=400)
    manifest = train(registry, "delay", "JFK", panel, GlobalForecaster(SPEC, FITTING), check=100, code="main")
    assert set(manifest.metrics) == {"mae", "naive_mae", "cover-80", "cover-95"}
    assert manifest.metrics["mae"] < manifest.metrics["naive_mae"]
    pipes = forecast(registry, "delay", "JFK", panel)
    assert set(pipes) == {"a", "b", "c"}
    assert pipes["a"]["model"] == manifest.version
    assert len(pipes["a"]["mean"]) == 3


def test_a_history_that_is_too_short_to_be_measured_is_trained_on_all_the_same(registry: Registry):
    manifest = train(registry, "delay", "JFK", series(hours=100), GlobalForecaster(SPEC, FITTING), check=168)
    assert manifest.metrics == {}


def test_a_measure_is_taken_on_hours_that_the_model_has_not_seen():
    panel = series(hours=400)
    panel.y[-50:] = 100.0  # nobody can know
    assert measure(panel, GlobalForecaster(SPEC, FITTING), 50)["mae"] > 10
