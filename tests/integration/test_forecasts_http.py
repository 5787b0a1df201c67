"""Forecasts over HTTP, and the whole API under schemathesis: a real server, a real worker, real Redis."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import orjson
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings

from forecasting.serving.http import router
from pipeline.local.embedded import EmbeddedRedis
from pipeline.local.processes import worker_env
from pipeline.local.supervise import Processes
from pipeline.serving.app import MODEL, SLOTS, worker_command
from pipeline.serving.catalogue import Catalogue, Source
from pipeline.settings import Settings
from pipeline.waves.runtime import Runtime
from pipeline.web.application import make_app
from pipeline.web.server import make_server
from pipeline.web.settings import WebSettings
from tests.support.servers import until

ROOT = Path(__file__).parents[2]
ISSUED = datetime(2026, 4, 1, 6, tzinfo=UTC)


@pytest.fixture(scope="module")
def runtime() -> Iterator[Runtime]:
    with EmbeddedRedis() as redis:
        found = Runtime(Settings(redis_url=redis.url, version="main"))
        yield found
        found.client.connection_pool.disconnect()


@pytest.fixture(scope="module")
def url(runtime: Runtime) -> Iterator[str]:
    """An API with the router of forecasts, and a worker that serves the example model."""
    address = runtime.settings.redis_url
    with Processes(patience=3) as processes:
        Catalogue(runtime.client, "main").change(
            "mean",
            lambda entry: entry.with_version("1", Source("callable", "example:mean")),
            new=True,
        )
        env = worker_env(address, [], "main") | {MODEL: "mean", SLOTS: "4", "PYTHONPATH": str(ROOT)}
        processes.start("worker", worker_command("main.serve.mean"), env)
        web = WebSettings(port=0)
        server = make_server(make_app(runtime.settings, web, [router]), web)
        thread = threading.Thread(target=server.run)
        thread.start()
        try:
            processes.wait_ready()
            until(lambda: server.started)
            port = server.servers[0].sockets[0].getsockname()[1]
            place = f"http://127.0.0.1:{port}"
            until(lambda: httpx.get(f"{place}/readyz").status_code == 200)
            yield place
        finally:
            server.should_exit = True
            thread.join()


@pytest.fixture
def api(url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=url, timeout=20) as client:
        yield client


def put(runtime: Runtime, issued: datetime, **means: list[float]) -> None:
    values = {
        name: {"mean": mean, "lo-80": [m - 1 for m in mean], "hi-80": [m + 1 for m in mean], "model": "m1"}
        for name, mean in means.items()
    }
    runtime.store.put("main", "delay", issued, values, 30 * 86400)


@pytest.fixture(scope="module", autouse=True)
def forecasts(runtime: Runtime) -> None:
    put(runtime, ISSUED, a=[1.0, 2.0, 3.0], b=[5.0, 6.0, 7.0])
    put(runtime, ISSUED + timedelta(hours=1), a=[20.0, 30.0, 40.0])
    put(runtime, ISSUED, **{"route 1/2": [9.0]})


def test_one_entity_has_its_freshest_forecast_with_lead_and_interval(api):
    found = api.get("/v1/forecasts/delay/a", params={"at": "2026-04-01T08"})
    assert found.json() == {
        "unique_id": "a",
        "ds": "2026-04-01T08",
        "mean": 20.0,
        "lo-80": 19.0,
        "hi-80": 21.0,
        "issued": "2026-04-01T07",
        "lead": 1,
        "degraded": False,
        "source": "fresh",
        "version": "main",
        "model": "m1",
    }


def test_an_older_forecast_says_that_it_is_degraded(api):
    found = api.get("/v1/forecasts/delay/b", params={"at": "2026-04-01T08"}).json()
    assert (found["mean"], found["lead"], found["degraded"]) == (6.0, 2, True)


def test_answers_are_counted_by_what_they_are_made_of(api):
    def counted() -> dict[str, float]:
        lines = [line for line in api.get("/metrics").text.splitlines() if "forecast_answers_total{" in line]
        return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines}

    before = counted()
    api.get("/v1/forecasts/delay?entity=a&entity=b&at=2026-04-01T08")
    api.get("/v1/forecasts/nothing/a?at=2026-04-01T09")
    name = 'waves_forecast_answers_total{pipe="delay",source="%s"}'
    after = counted()
    assert after[name % "fresh"] - before.get(name % "fresh", 0) == 1
    assert after[name % "older"] - before.get(name % "older", 0) == 1
    assert not [line for line in after if "nothing" in line]


def test_an_entity_key_may_hold_a_slash(api):
    found = api.get("/v1/forecasts/delay/route 1/2", params={"at": "2026-04-01T07"})
    assert found.json()["mean"] == 9.0


def test_many_are_answered_at_once_and_those_without_one_are_named(api):
    wanted = {"forecasts": [20.0, 6.0], "missing": ["c"]}

    def means(answer: httpx.Response) -> dict[str, object]:
        found = answer.json()
        return {"forecasts": [one["mean"] for one in found["forecasts"]], "missing": found["missing"]}

    query = [("entity", "a"), ("entity", "b"), ("entity", "c"), ("at", "2026-04-01T08")]
    assert means(api.get("/v1/forecasts/delay", params=query)) == wanted
    asked = {"entities": ["a", "b", "c"], "at": "2026-04-01T08"}
    assert means(api.post("/v1/forecasts/delay", json=asked)) == wanted


@pytest.mark.parametrize(
    ("path", "status", "text"),
    [
        ("/v1/forecasts/delay/c?at=2026-04-01T08", 404, "no forecast 'delay' of 'c' covers 2026-04-01T08"),
        ("/v1/forecasts/delay/a?at=soon", 422, "soon"),
        ("/v1/forecasts/delay", 422, "entity: Field required"),
        (
            "/v1/forecasts/delay:stream?entity=a&every=0",
            422,
            "every: Input should be greater than or equal to 0.5",
        ),
    ],
)
def test_what_cannot_be_answered_says_why(api, path, status, text):
    answer = api.get(path)
    assert (answer.status_code, text in answer.json()["error"]) == (status, True), answer.text


def test_a_stream_tells_each_forecast_and_then_the_fresher_ones(api, runtime):
    now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    put(runtime, now - timedelta(hours=2), s=[1.0, 2.0, 3.0, 4.0, 5.0])
    query = {"entity": "s", "at": (now + timedelta(hours=1)).strftime("%Y-%m-%dT%H"), "every": 0.5}
    with api.stream("GET", "/v1/forecasts/delay:stream", params=query) as answer:
        events = (orjson.loads(line[6:]) for line in answer.iter_lines() if line.startswith("data: "))
        first = next(events)
        put(runtime, now - timedelta(hours=1), s=[10.0, 20.0, 30.0])
        second = next(events)
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert (first["mean"], first["lead"], second["mean"], second["lead"]) == (3.0, 3, 20.0, 2)


def test_nothing_that_the_description_allows_is_a_fault_of_the_server(url):
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json").exclude(path_regex=":stream")
    operations = [found.ok() for found in schema.get_all_operations()]
    assert len(operations) > 9

    for operation in operations:

        @given(case=operation.as_strategy())
        @settings(
            max_examples=15,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
            database=None,
        )
        def check(case: schemathesis.Case) -> None:
            answer = case.call()
            assert answer.status_code < 500, (case.path, answer.text)
            if answer.status_code >= 400:
                assert set(answer.json()) == {"error", "request_id"}, (case.path, answer.text)

        check()
