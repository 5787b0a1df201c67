"""The shipped flows, run in this process: history, training, forecasts, an outage."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from forecasting.models.columns import BOUNDS
from forecasting.reading.reader import read_forecasts
from forecasting.reading.recalibration import issue_dates
from forecasting.registry import process_registry
from pipeline import Wave
from pipeline.flows.pipe import ONE_HOUR
from pipeline.store import MemoryStore
from pipeline.testing import run_wave
from tasks import delays, flights

NOW = datetime(2013, 6, 25, 20, tzinfo=UTC)
DAYS = 20
FAR = 1e12


@pytest.fixture(scope="module")
def entities() -> dict[str, dict[str, str]]:
    return {k: dict(f) for k, f in flights.departures().entities.items() if f["origin"] == "JFK"}


@pytest.fixture(scope="module")
def store(entities) -> MemoryStore:
    """The pipes of some weeks, as waves would have left them."""
    store, found = MemoryStore(), flights.departures()
    delay, sight = found.delay(), flights.weather().measure("visibility", "JFK")
    for row in np.flatnonzero((found.hours > NOW - timedelta(days=DAYS)) & (found.hours < NOW)):
        date = found.hours[row].to_pydatetime()
        columns = {key: found.columns[key] for key in entities}
        values = {key: float(delay[row, c]) for key, c in columns.items() if not np.isnan(delay[row, c])}
        store.put("test", "delay", date, values, FAR)
        store.put(
            "test", "waiting", date, {key: float(found.waiting[row, c]) for key, c in columns.items()}, FAR
        )
        store.put("test", "weather", date, dict.fromkeys(entities, float(sight.get(date, 10.0))), FAR)
    return store


@pytest.fixture(scope="module", autouse=True)
def models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PIPELINE_MODELS", str(tmp_path_factory.mktemp("models")))
        patch.setenv("PIPELINE_GATE", "naive=1.1")  # twenty days are a short history
        yield


def said(wave: Wave, task: str) -> set[str]:
    """The statuses of a task with their reasons, without their marks."""
    return {": ".join(filter(None, (s.status, s.reason))) for s in wave.statuses(task).values()}


@pytest.fixture(scope="module")
def trained(store: MemoryStore, entities):
    return run_wave(delays.training, entities, NOW - ONE_HOUR, store=store)


def test_a_training_wave_makes_one_model_an_airport_live(trained):
    assert said(trained, "delay_model") == {"finished"}
    known = trained.result("delay_model", "@JFK")
    assert known["version"] == process_registry().live("delay", "JFK")
    assert known["metrics"]["mae"] < known["metrics"]["naive_mae"] * 1.1
    assert known["entities"] == 22


def test_a_wave_forecasts_a_day_for_every_carrier_and_route(trained, store: MemoryStore, entities):
    wave = run_wave(delays.delays, entities, NOW, store=store)
    assert not wave.errors()
    assert said(wave, "delay_forecast") == {"finished"}
    found = read_forecasts(
        "delay_forecast", list(entities), NOW + 3 * ONE_HOUR, now=NOW, store=store, version="test"
    )
    assert set(found) == set(entities)
    assert all(
        f.lead == 3 and not f.degraded and f.bounds["lo-95"] < f.value < f.bounds["hi-95"]
        for f in found.values()
    )


def test_a_wave_widens_its_intervals_where_the_earlier_ones_were_too_narrow(
    trained, store: MemoryStore, entities
):
    sure = {"mean": [10.0] * 24} | {name: [10.0 + n * 0.01] * 24 for n, name in enumerate(BOUNDS)}
    for date in issue_dates(NOW, 24):
        store.put("narrow", "delay_forecast", date, dict.fromkeys(entities, sure), 1e9)
    usual = run_wave(delays.delays, entities, NOW, store=store).result("delay_forecast", "JFK-B6")
    found = run_wave(delays.delays, entities, NOW, store=store, version="narrow", base="test")
    value = found.result("delay_forecast", "JFK-B6")
    assert "widened" not in usual
    assert min(value["widened"]["95"]) > 0
    assert value["hi-95"][0] - value["lo-95"][0] > usual["hi-95"][0] - usual["lo-95"][0]
    assert value["mean"] == usual["mean"]


def test_when_the_departures_fail_nothing_is_forecast_and_the_earlier_forecast_answers(
    trained, store: MemoryStore, entities, monkeypatch: pytest.MonkeyPatch
):
    date = NOW + ONE_HOUR
    monkeypatch.setenv("FLIGHTS_OUTAGE", f"{date:%Y-%m-%dT%H}/{date:%Y-%m-%dT%H}")
    run_wave(delays.delays, entities, NOW, store=store)
    wave = run_wave(delays.delays, entities, date, store=store)
    assert said(wave, "departures") == {"failed: error"}
    assert "does not answer" in wave.errors()["departures"]["JFK-B6"]
    assert said(wave, "weather") == {"finished"}
    assert said(wave, "delay_forecast") == {"skipped: missing input"}
    found = read_forecasts("delay_forecast", ["JFK-B6"], date + ONE_HOUR, store=store, version="test")[
        "JFK-B6"
    ]
    assert (found.lead, found.degraded) == (2, True)


def test_an_hour_without_flights_is_no_observation_and_is_forecast_from_all_the_same(
    trained, store: MemoryStore, entities
):
    night = datetime(2013, 6, 25, 7, tzinfo=UTC)
    wave = run_wave(delays.delays, entities, night, store=store, version="night", base="test")
    assert not wave.statuses("delay")["JFK-B6"].observed
    assert wave.result("delay_forecast", "JFK-B6")["mean"]


def test_an_outage_is_read_from_the_environment(monkeypatch: pytest.MonkeyPatch):
    delays.check_outage(NOW)
    monkeypatch.setenv("FLIGHTS_OUTAGE", "2013-06-25T10/2013-06-25T15")
    delays.check_outage(datetime(2013, 6, 25, 16, tzinfo=UTC))
    with pytest.raises(delays.SourceError, match="an outage, played by FLIGHTS_OUTAGE"):
        delays.check_outage(datetime(2013, 6, 25, 15, tzinfo=UTC))
