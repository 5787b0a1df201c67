"""Forecasts of any numeric pipe by one line under a flow, run in this process."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from forecasting.errors import ModelError
from forecasting.evaluation.backtest import by_age
from forecasting.evaluation.backtest_waves import Measured, backtest_folds, backtest_table
from forecasting.features.rows import FeatureSpec
from forecasting.flows.with_forecasts import Forecasting, with_forecasts
from forecasting.models.global_forecaster import Fitting, GlobalForecaster
from forecasting.registry import Registry, process_registry
from pipeline import Flow, State, task
from pipeline.errors import FlowError, TaskError
from pipeline.flows.pipe import ONE_HOUR
from pipeline.store import MemoryStore
from pipeline.testing import run_wave

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOURS = 24 * 15
SHOPS = {f"{region}-{n}": {"region": region} for region in ("north", "south") for n in range(3)}
shops = State("shops", partition_by="region")
FAR = 1e12


@task
def sales(entity, date):
    return {"count": usual(date) + len(entity)}


@task
def demand(sales):
    return sales["count"]


@task
def promo(entity, date):
    return float(date.hour == 10)


hourly = Flow("shop", [sales, demand, promo], state=shops, schedule="59 * * * *")


def usual(date: datetime) -> float:
    return 50 + 20 * np.sin(date.hour / 24 * 2 * np.pi)


def small() -> GlobalForecaster:
    spec = FeatureSpec(horizon=6, past=("promo",))
    return GlobalForecaster(spec, Fitting(rounds=40, quantile_rounds=5, max_rows=4000, eta=0.2, depth=4))


OPTIONS = {"past": ["promo"], "model": small, "history": "15d", "lookback": "10d", "check": "3d"}


def history(noise: float, last: datetime = NOW - ONE_HOUR) -> MemoryStore:
    """What hourly waves would have stored."""
    store, rng = MemoryStore(), np.random.default_rng(7)
    for back in range(HOURS):
        date = last - back * ONE_HOUR
        store.put(
            "test", "demand", date, {key: usual(date) + noise * rng.normal() + len(key) for key in SHOPS}, FAR
        )
        store.put("test", "promo", date, dict.fromkeys(SHOPS, float(date.hour == 10)), FAR)
    return store


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    monkeypatch.setenv("PIPELINE_MODELS", str(tmp_path))
    return process_registry()


def test_one_line_gives_a_flow_that_forecasts_and_one_that_trains(registry: Registry):
    flow, training = with_forecasts(hourly, "demand", **OPTIONS)
    assert list(flow.tasks) == ["sales", "promo", "demand", "demand_forecast"]
    assert (flow.name, flow.schedule, flow.state) == ("shop", "59 * * * *", shops)
    assert (training.name, list(training.tasks), training.state) == (
        "shop-demand-training",
        ["demand_model"],
        shops,
    )
    store = history(noise=5.0)
    trained = run_wave(training, SHOPS, NOW - ONE_HOUR, store=store, shard_size=2)
    assert not trained.errors()
    assert set(trained.progress().tasks) == {"demand_model"}
    known = trained.result("demand_model", "@north")
    assert (known["live"], known["entities"]) == (True, 3)
    assert known["version"] == registry.live("demand", "north")
    assert registry.history("demand", "south")[0].by.startswith("training wave 2026-03-01T11 (")
    wave = run_wave(flow, SHOPS, NOW, store=store)
    assert not wave.errors()
    pipe = wave.result("demand_forecast", "south-1")
    assert pipe["model"] == registry.live("demand", "south")
    assert len(pipe["mean"]) == len(pipe["lo-95"]) == 6
    truth = [usual(NOW + lead * ONE_HOUR) + 7 for lead in range(1, 7)]
    assert np.abs(np.array(pipe["mean"]) - truth).mean() < 8


def open_hours(entities, hours):
    return {"open": pd.Series([is_open(hour) for hour in hours], index=hours)}


def is_open(date: datetime) -> bool:
    return date.hour >= 8 and date.day not in (18, 24, 2)


def test_what_is_known_of_the_hours_to_come_and_of_entities_is_told(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("PIPELINE_GATE", "naive=2")
    asked = []

    def known(entities, hours):
        asked.append((len(entities), hours[0], hours[-1]))
        return open_hours(entities, hours)

    def sizes(entities):
        return pd.DataFrame({"seats": {entity: len(entity) for entity in entities}})

    options = OPTIONS | {"future": known, "static": sizes}
    flow, training = with_forecasts(hourly, "demand", **options)
    store, rng = MemoryStore(), np.random.default_rng(7)
    for back in range(-19, HOURS):
        date = NOW - ONE_HOUR - back * ONE_HOUR
        values = {key: (usual(date) + 5 * rng.normal()) * is_open(date) for key in SHOPS}
        store.put("test", "demand", date, values, FAR)
        store.put("test", "promo", date, dict.fromkeys(SHOPS, 0.0), FAR)
    trained = run_wave(training, SHOPS, NOW - ONE_HOUR, store=store)
    assert not trained.errors()
    assert asked[0] == (3, NOW - HOURS * ONE_HOUR, NOW + 5 * ONE_HOUR)
    features = registry.serving("demand", "north").model.features
    assert {"open", "open, change", "seats"} <= set(features)
    # Before dawn of the second of March nothing but the calendar tells that the day is a holiday.
    wave = run_wave(flow, SHOPS, NOW + 18 * ONE_HOUR, store=store, only=["demand_forecast"])
    assert not wave.errors()
    pipe = wave.result("demand_forecast", "south-1")
    assert max(pipe["mean"]) < 15, pipe["mean"]


@pytest.mark.parametrize(
    ("inputs", "text"),
    [
        (
            {"future": lambda entities, hours: 1 / 0},
            "the future inputs of 'demand', raised ZeroDivisionError: division by zero",
        ),
        ({"future": lambda entities, hours: {"open": [1]}}, "gave a dict of list. It is to give {name: Data"),
        (
            {"static": lambda entities: {"seats": 3}},
            "gave a dict of int. It is to give a DataFrame with a row",
        ),
        (
            {"static": lambda entities: pd.DataFrame({"seats": [3]})},
            "gave a DataFrame indexed by 0. It is to give a DataFrame with a row an entity, indexed by entity (north-0",
        ),
        (
            {"static": lambda entities: pd.DataFrame({"kind": dict.fromkeys(entities, "bar")})},
            "the static input 'kind' holds values that are not numbers",
        ),
    ],
)
def test_inputs_of_another_form_fail_the_training_with_a_text(registry: Registry, inputs, text: str):
    _, training = with_forecasts(hourly, "demand", **OPTIONS | inputs)
    wave = run_wave(training, SHOPS, NOW - ONE_HOUR, store=history(noise=5.0))
    assert text in wave.errors()["demand_model"]["@north"]


def test_a_model_whose_inputs_are_no_longer_given_is_told(registry: Registry):
    _, training = with_forecasts(hourly, "demand", **OPTIONS | {"future": open_hours})
    store = history(noise=5.0)
    run_wave(training, SHOPS, NOW - ONE_HOUR, store=store)
    flow, _ = with_forecasts(hourly, "demand", **OPTIONS)
    wave = run_wave(flow, SHOPS, NOW, store=store)
    assert (
        "the panel lacks open among its future inputs; it has none"
        in wave.errors()["demand_forecast"]["north-0"]
    )


def test_a_first_model_that_is_no_better_than_the_naive_leaves_the_prediction_wave_with_a_clear_error(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("PIPELINE_GATE", "naive=0.001")
    flow, training = with_forecasts(hourly, "demand", **OPTIONS)
    store = history(noise=5.0)
    trained = run_wave(training, SHOPS, NOW - ONE_HOUR, store=store)
    known = trained.result("demand_model", "@north")
    assert not known["live"]
    assert "times the seasonal naive's" in known["gate"]
    wave = run_wave(flow, SHOPS, NOW, store=store)
    said = wave.errors()["demand_forecast"]
    assert set(said) == set(SHOPS)
    assert f"{known['version']} was refused" in said["north-0"]
    assert said["north-0"].startswith("no model of 'demand' for 'north' is live at dev in")
    assert wave.statuses("demand")["north-0"].status == "finished"


def test_a_flow_keeps_what_its_models_are_fitted_to():
    flow, _ = with_forecasts(hourly, "demand", past=["promo"], history="90d")
    assert flow.keep("demand") == flow.keep("promo") == 90 * 86400
    with pytest.raises(
        FlowError, match=r"reads 90d of 'demand', of which flow 'shop' keeps 30d.*keep=\{'demand'"
    ):
        Forecasting("demand", history="90d").training(hourly)


def test_this_hours_value_is_needed_unless_another_pipe_is():
    assert Forecasting("demand").task().required == ("demand",)
    other = Forecasting("demand", needs=["sales"]).task()
    assert (other.required, set(other.optional)) == (("sales",), {"demand"})
    assert Forecasting("demand", needs=[]).task().required == ()


def test_an_hour_without_a_value_is_not_forecast(registry: Registry):
    flow, training = with_forecasts(hourly, "demand", **OPTIONS)
    store = history(noise=5.0)
    run_wave(training, SHOPS, NOW - ONE_HOUR, store=store)
    wave = run_wave(flow, SHOPS, NOW, store=store, only=["demand_forecast", "promo"])
    assert wave.statuses("demand_forecast")["north-0"].reason == "missing input"


def test_a_history_without_a_value_fails_the_training_with_a_text(registry: Registry):
    _, training = with_forecasts(hourly, "demand", **OPTIONS)
    wave = run_wave(training, SHOPS, NOW, store=MemoryStore())
    assert "demand of 'north' has no value in the last 15d" in wave.errors()["demand_model"]["@north"]


def test_old_versions_are_pruned_by_the_training_wave(registry: Registry, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PIPELINE_MODELS_KEEP", "1")
    _, training = with_forecasts(hourly, "demand", **OPTIONS)
    store = history(noise=5.0, last=NOW)
    known = [
        run_wave(training, SHOPS, NOW - back * ONE_HOUR, store=store).result("demand_model", "@north")
        for back in (3, 2, 1)
    ]
    assert known[2]["pruned"] == [known[0]["version"]]
    assert process_registry().versions("demand", "north") == [known[1]["version"], known[2]["version"]]


def test_a_training_that_may_not_remove_old_versions_is_no_failure(
    registry: Registry, monkeypatch: pytest.MonkeyPatch, caplog
):
    def refuse(*_):
        raise ModelError("AccessDenied")

    monkeypatch.setattr(registry, "prune", refuse)
    _, training = with_forecasts(hourly, "demand", **OPTIONS)
    wave = run_wave(training, SHOPS, NOW - ONE_HOUR, store=history(noise=5.0))
    assert wave.result("demand_model", "@north")["live"]
    assert "old versions were not removed" in caplog.text


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: with_forecasts(hourly, "demnd"), FlowError, "has no task 'demnd'. Did you mean 'demand'"),
        (
            lambda: with_forecasts(hourly, "demand", past=["wether"]),
            FlowError,
            "reads 'wether', which no task of the flow",
        ),
        (
            lambda: with_forecasts(hourly, "demand", past="promo"),
            TaskError,
            r"past='promo' is a text. Give a list",
        ),
        (
            lambda: with_forecasts(hourly, "demand", horizonn=3),
            TaskError,
            "forecasts of 'demand': there is no option 'horizonn'. Did you mean 'horizon'",
        ),
        (lambda: Forecasting("demand", past=["a b"]), TaskError, "'a b' is not a name of a pipe"),
        (
            lambda: Forecasting("promos").training(hourly),
            FlowError,
            "flow 'shop' does not make promos. It has: sales, promo, demand",
        ),
    ],
)
def test_a_wrong_declaration_is_told(make, error, text: str):
    with pytest.raises(error, match=text):
        make()


def test_several_pipes_of_a_flow_are_forecast_by_a_line_each():
    flow, first = with_forecasts(hourly, "demand")
    flow, second = with_forecasts(flow, "promo", history="90d")
    assert {"demand_forecast", "promo_forecast"} <= set(flow.tasks)
    assert (flow.keep("demand"), flow.keep("promo")) == (60 * 86400, 90 * 86400)
    assert (first.name, second.name) == ("shop-demand-training", "shop-promo-training")


def test_the_lines_of_the_readme_hold():
    text = (Path(__file__).parents[4] / "README.md").read_text()
    program, lines = (
        re.search(rf"<!-- {mark}.*?-->\n```python\n(.*?)```", text, re.DOTALL)[1]
        for mark in ("program", "forecasts")
    )
    space: dict = {"__name__": "my_flows"}
    exec(program + lines, space)
    assert "feels_like_forecast" in space["flow"].tasks
    assert space["training"].name == "weather-feels_like-training"


# Backtests as waves


def test_a_backtest_runs_a_task_a_fold_for_each_partition_and_gives_a_frame(registry: Registry):
    flow, _ = with_forecasts(hourly, "demand", **OPTIONS)
    backtest = Forecasting("demand", **OPTIONS).backtest(flow, folds=2)
    assert (backtest.name, list(backtest.tasks)) == (
        "shop-demand-backtest",
        ["demand_backtest_1", "demand_backtest_2"],
    )
    wave = run_wave(backtest, SHOPS, NOW - ONE_HOUR, store=history(noise=5.0))
    assert not wave.errors()
    found = backtest_folds(wave)
    assert {partition: len(own) for partition, own in found.items()} == {"north": 2, "south": 2}
    frame = backtest_table(found)
    assert set(frame["model"]) == {"model", "seasonal naive"}
    assert [str(cutoff) for cutoff in sorted(frame["cutoff"].unique())] == [
        "2026-02-23 11:00:00+00:00",
        "2026-02-26 11:00:00+00:00",
    ]
    ages = by_age(frame, {"1 h": (1, 1), "2-6 h": (2, 6)}).set_index(["model", "age"])
    assert ages.loc[("model", "1 h"), "mae"] < ages.loc[("seasonal naive", "1 h"), "mae"]
    measured = Measured.of(found["north"])
    assert measured.live is None
    assert measured.metrics["mae"] < measured.metrics["naive_mae"]


def test_a_promotion_is_judged_by_a_backtest_of_the_same_recipe_against_the_live_model(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
):
    flow, training = with_forecasts(hourly, "demand", **OPTIONS)
    store = history(noise=5.0, last=NOW)
    first = run_wave(training, SHOPS, NOW - 2 * ONE_HOUR, store=store).result("demand_model", "@north")
    monkeypatch.setenv("PIPELINE_GATE", "live=0.0001")
    second = run_wave(training, SHOPS, NOW - ONE_HOUR, store=store).result("demand_model", "@north")
    assert (first["live"], second["live"]) == (True, False)
    monkeypatch.delenv("PIPELINE_GATE")
    wave = run_wave(Forecasting("demand", **OPTIONS).backtest(flow, folds=2), SHOPS, NOW, store=store)
    measured = Measured.of(backtest_folds(wave)["north"])
    assert measured.live == first["version"]
    assert measured.metrics["live_mae"] == measured.metrics["mae"]  # the same recipe
    registry = process_registry()
    event = registry.promote("demand", "north", second["version"], measured=measured).event
    assert event.metrics == measured.metrics
    other = Measured("another recipe", None, measured.metrics)
    with pytest.raises(ModelError, match="the backtest measured another model than"):
        registry.promote("demand", "north", first["version"], measured=other)


def test_a_fold_that_failed_is_named(registry: Registry):
    flow, _ = with_forecasts(hourly, "demand", **OPTIONS)
    backtest = Forecasting("demand", **OPTIONS).backtest(flow, folds=6)
    wave = run_wave(backtest, SHOPS, NOW - ONE_HOUR, store=history(noise=5.0))
    with pytest.raises(
        ModelError, match=r"no whole result: demand_backtest_5 of @north is failed: error .*too few"
    ):
        backtest_folds(wave)


def test_a_wave_that_is_no_backtest_is_told(registry: Registry):
    wave = run_wave(Flow("other", [promo], state=shops), SHOPS, NOW)
    with pytest.raises(
        ModelError, match="test/other 2026-03-01T12 is not a backtest: the pipe of promo holds no scores"
    ):
        backtest_folds(wave)


def test_folds_of_different_models_are_refused():
    part = {"recipe": "a", "live": None, "scores": {}}
    with pytest.raises(ModelError, match="measured different models"):
        Measured.of([part, part | {"live": "v1"}])


def test_a_backtest_without_folds_is_refused():
    with pytest.raises(FlowError, match="folds=0 leaves nothing to test"):
        Forecasting("demand").backtest(hourly, folds=0)
