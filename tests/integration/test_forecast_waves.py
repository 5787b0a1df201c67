"""Training and prediction waves on real workers: what is promoted or rolled back is picked up without a restart."""

from __future__ import annotations

from pathlib import Path

import pytest

from forecasting.evaluation.backtest_waves import Measured, backtest_folds, backtest_table
from forecasting.registry import ModelSettings, Registry
from pipeline.cli import COMMANDS
from pipeline.flows.discover import load_flows
from pipeline.flows.pipe import ONE_HOUR
from pipeline.local.processes import Workers
from pipeline.settings import Settings
from pipeline.waves.runtime import Runtime
from pipeline.waves.submit import submit_wave
from pipeline.waves.wave import Wave
from tests.support.servers import until
from tests.support.shops import FLOWS, NOW, SHOPS, load_history


def test_models_are_trained_promoted_and_rolled_back_while_workers_run(redis_url: str, tmp_path: Path):
    flows = load_flows([FLOWS])
    runtime = Runtime(Settings(redis_url=redis_url, version="main"))
    load_history(runtime)
    env = {"PIPELINE_MODELS": str(tmp_path), "PIPELINE_MODELS_REFRESH": "0.1s", "PIPELINE_STAGE": "dev"}
    registry = Registry(tmp_path, ModelSettings(refresh=1e-9))

    def train(back: int) -> Wave:
        wave = submit_wave(flows["shop-demand-training"], NOW - back * ONE_HOUR, None, SHOPS, runtime=runtime)
        return wave.wait(60)

    def forecast(hours: int) -> str:
        wave = submit_wave(flows["shop"], NOW + hours * ONE_HOUR, None, SHOPS, runtime=runtime).wait(60)
        assert not wave.errors()
        return str(wave.result("demand_forecast", "north-1")["model"])

    with Workers(redis_url, flows=[FLOWS], env=env, count=1, version="main") as workers:
        workers.wait_ready()
        assert set(train(2).progress().tasks) == {"demand_model"}
        first = registry.live("demand", "north")
        assert forecast(0) == first
        train(1)
        second = registry.live("demand", "north")
        assert first != second
        hours = iter(range(1, 20))
        until(lambda: forecast(next(hours)) == second)
        registry.rollback("demand", "north")
        until(lambda: forecast(next(hours)) == first)
    assert {event.kind for event in registry.history("demand", "south")} == {"promoted"}


def test_a_promotion_is_judged_by_a_backtest_that_the_workers_share(
    redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command_on
):
    flows = load_flows([FLOWS])
    runtime = Runtime(Settings(redis_url=redis_url, version="main"))
    load_history(runtime)
    env = {"PIPELINE_MODELS": str(tmp_path), "PIPELINE_GATE": "naive=0.001", "PIPELINE_STAGE": "dev"}
    for name, value in (env | {"PIPELINE_GATE": "", "PIPELINE_VERSION": "main"}).items():
        monkeypatch.setenv(name, value)
    # The command itself, whatever the installation of this environment knows of entry points.
    monkeypatch.setitem(COMMANDS, "model", ("forecasting.cli.model:model", ""))
    registry, date = Registry(tmp_path, ModelSettings(refresh=1e-9)), NOW - ONE_HOUR
    with Workers(redis_url, flows=[FLOWS], env=env, count=2, version="main") as workers:
        workers.wait_ready()
        submit_wave(flows["shop-demand-training"], date, None, SHOPS, runtime=runtime).wait(60)
        wave = submit_wave(flows["shop-demand-backtest"], date, None, SHOPS, runtime=runtime).wait(60)
    progress = wave.progress()
    assert (progress.total, progress.count("finished")) == (4, 4)  # two folds of two partitions
    assert set(backtest_table(backtest_folds(wave))["partition"]) == {"north", "south"}
    assert registry.newest("demand", "north").live is None
    said = command_on(redis_url)("model", "promote", "demand", "--backtest", "shop-demand-backtest").stdout
    assert said.count("is live (promoted)") == 2
    assert (
        dict(registry.history("demand", "north")[0].metrics)
        == Measured.of(backtest_folds(wave)["north"]).metrics
    )
