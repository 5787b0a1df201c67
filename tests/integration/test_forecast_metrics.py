"""Cover and the age of models: as metrics, as alerts, on the overview."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from prometheus_client import CollectorRegistry, generate_latest

from forecasting.reading.flow_cover import flow_covers
from forecasting.registry import Registry
from forecasting.serving import prometheus
from pipeline import Flow, State, task
from pipeline.dashboard.routes import Dashboard
from pipeline.flows.discover import Flows
from pipeline.flows.pipe import floor
from pipeline.monitoring import cover
from pipeline.monitoring.alert_delivery import look
from pipeline.monitoring.alert_rules import Bounds
from pipeline.monitoring.cover import Covers
from pipeline.monitoring.metrics import WaveCollector
from pipeline.settings import Settings
from pipeline.waves.runtime import Runtime
from tests.contracts.models import GOOD, SPAN, Level
from tests.support.sites import served

FAR = 1e9


@task
def y(entity: str) -> float:
    return 1.0


@task
def f(y: float) -> dict[str, object]:
    return {"mean": [y] * 24, "of": "y"}


@task(per="partition")
def level(y: object) -> float:
    return 1.0


FLOW = Flow("shop", [y, f, level], state=State("shops", partition_by="city"), schedule="5 * * * *")


@pytest.fixture
def runtime(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Runtime]:
    """Three entities; two of them have forecasts of this hour for 24 hours, the third has none."""
    monkeypatch.setattr(cover, "installed", lambda group: [flow_covers])
    cover._covers.clear()
    made = Runtime(Settings(redis_url=redis_url, version="main"))
    made.states.bind("shops").update({key: {"city": "x"} for key in ("a", "b", "c")})
    present = floor(datetime.now(UTC))
    for pipe, value in {"y": 1.0, "f": {"mean": [1.0] * 24, "of": "y"}}.items():
        made.store.put("main", pipe, present, {"a": value, "b": value}, FAR)
    yield made
    cover._covers.clear()


def scraped(runtime: Runtime, *flows: Flow) -> str:
    registry = CollectorRegistry()
    registry.register(WaveCollector(runtime, flows, [prometheus.metrics]))
    return generate_latest(registry).decode()


def test_the_cover_of_a_flow_is_that_of_its_pipes_that_hold_forecasts(runtime: Runtime):
    (found,) = flow_covers(runtime, [FLOW])
    assert (found.version, found.flow, found.pipe) == ("main", "shop", "f")
    assert (found.least, found.out, found.entities) == (0, 1, 3)
    assert found.median in (23, 24)  # the hour may have changed since
    assert list(flow_covers(runtime, [Flow("other", [y, f], state=State("nobody"))])) == []


def test_cover_is_scraped_by_version_flow_and_pipe(runtime: Runtime):
    text = scraped(runtime, FLOW)
    labels = 'flow="shop",pipe="f",statistic="min",version="main"'
    assert f"waves_cover_hours{{{labels}}} 0.0" in text
    assert 'waves_uncovered_entities{flow="shop",pipe="f",version="main"} 1.0' in text


def test_the_overview_tells_the_cover_and_an_alert_says_when_it_is_short(runtime: Runtime):
    app = FastAPI()
    app.include_router(Dashboard(runtime, Flows([FLOW]), []).router())
    cover.process_covers(runtime, [FLOW]).known()
    with served(app) as address:
        page = httpx.get(address).text
    assert "f: " in page
    assert "min 0, p5 0, median 2" in page
    assert "the forecasts f of one entity in twenty have run out." in page


def test_who_is_told_of_alerts_is_told_of_short_cover(runtime: Runtime):
    found, _ = look(runtime, [FLOW], Bounds())
    (alert,) = [one for one in found if one.what == "cover"]
    assert (alert.level, alert.about) == ("critical", "main/shop f")


def test_cover_is_read_again_once_it_is_old(runtime: Runtime):
    covers = Covers(runtime, [FLOW], [flow_covers], kept=0)
    before = covers.known()
    runtime.states.bind("shops").clear()
    assert len(before) == 1
    assert covers.known() == ()


def test_the_age_of_a_model_is_that_of_the_oldest_live_one(
    runtime: Runtime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("PIPELINE_MODELS", str(tmp_path))
    monkeypatch.setattr(prometheus, "_live", prometheus._Live())
    registry = Registry(tmp_path)
    for partition in ("x", "z"):
        version = registry.save("y", partition, Level(1), SPAN, entities=1, metrics=GOOD).version
    registry.promote("y", "x", version)
    text = scraped(runtime, FLOW)
    (line,) = [n for n in text.splitlines() if n.startswith("waves_model_age_seconds{")]
    assert line.startswith('waves_model_age_seconds{pipe="y",stage="dev"}')
    assert 0 <= float(line.split()[-1]) < 60
    assert 'waves_models_not_live{pipe="y",stage="dev"} 1.0' in text
