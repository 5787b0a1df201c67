"""One trace a wave: what real workers tell a collector over HTTP."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline import submit_wave
from pipeline.flows.discover import load_flows
from pipeline.local.processes import Workers, worker_env
from pipeline.local.supervise import Processes
from pipeline.settings import Settings
from pipeline.waves.runtime import Runtime
from pipeline.waves.wave import Wave
from tests.support.collector import Collector, Told, collector
from tests.support.servers import until

TRACED = str(Path(__file__).parent / "flows" / "traced.py")
KEYS = ["bad", "a", "b", "c"]


@pytest.fixture
def to() -> Iterator[Collector]:
    with collector() as found:
        yield found


def runtime_of(url: str, to: Collector | None) -> Runtime:
    return Runtime(Settings(redis_url=url, version="main", shard_size=2, traces=to.address if to else ""))


def run(runtime: Runtime, to: Collector | None, date: str = "2026-04-01T07", *options: str) -> Wave:
    """Run a wave over two shards on a worker of its own, which ends with it."""
    env = {"PIPELINE_TRACES": to.address} if to else {}
    with Workers(runtime.settings.redis_url, [TRACED], 1, env=env, options=options) as workers:
        workers.wait_ready()
        return submit_wave(load_flows([TRACED])["shop"], date, entities=KEYS, runtime=runtime).wait(30)


def below(spans: list[Told], root: Told) -> list[Told]:
    return [span for span in spans if span.parent == root.id]


@pytest.mark.parametrize("options", [(), ("-P", "threads")])
def test_a_wave_is_one_trace_with_its_submission_and_each_run(redis_url, to, options):
    runtime = runtime_of(redis_url, to)
    wave = run(runtime, to, "2026-04-01T07", *options)
    runtime.tracer.flush()
    names = ["submit shop", *["shop.sales"] * 2, "shop.level", *["shop.demand"] * 2]
    until(lambda: len(to.spans) == len(names) + 1)
    (root,) = to.named("wave shop")
    assert (root.parent, len({span.trace for span in to.spans})) == ("", 1)
    assert sorted(span.name for span in below(to.spans, root)) == sorted(names)
    assert root.end - root.start == pytest.approx(wave.progress().seconds, abs=0.01)
    assert all(root.start - 1 < span.start <= span.end < root.end + 1 for span in to.spans)
    told = {"wave.id": wave.id, "wave.flow": "shop", "wave.version": "main", "wave.date": "2026-04-01T07"}
    assert all(span.attributes.items() >= told.items() for span in to.spans)
    counts = {"entities.finished": 7, "entities.failed": 1, "entities.skipped": 1, "wave.reason": "done"}
    assert root.attributes.items() >= counts.items()


def test_a_run_tells_its_task_shard_counts_and_failures(redis_url, to):
    runtime = runtime_of(redis_url, to)
    run(runtime, to)
    until(lambda: to.named("wave shop") and len(to.named("shop.sales")) == 2)
    (bad,) = [span for span in to.named("shop.sales") if span.failed]
    assert (
        bad.attributes.items()
        >= {
            "task.name": "sales",
            "task.attempt": 1,
            "entities.failed": 1,
            "entities.finished": 1,
        }.items()
    )
    assert sorted(span.attributes["task.shard"] for span in to.named("shop.sales")) == ["0", "1"]
    ((name, event),) = bad.events
    assert (name, event["count"], event["first"]) == ("entities failed", 1, "bad")
    assert event["error"].startswith("ConnectionError: no sales of bad")
    (scope,) = to.named("shop.level")
    assert (scope.attributes["task.shard"], scope.attributes["entities.finished"]) == ("@all", 1)


def test_a_wave_that_is_cancelled_or_empty_has_an_end_too(redis_url, to):
    runtime, flow = runtime_of(redis_url, to), load_flows([TRACED])["shop"]
    submit_wave(flow, "2026-04-01T08", entities=KEYS, runtime=runtime).cancel()
    submit_wave(flow, "2026-04-01T09", entities=[], runtime=runtime)
    runtime.tracer.flush()
    until(lambda: len(to.spans) == 4)
    found = {span.attributes["wave.reason"]: span.failed for span in to.named("wave shop")}
    assert found == {"cancelled": True, "empty": False}
    assert len({span.trace for span in to.spans}) == 2


def test_messages_stay_as_they_are(redis_url, to):
    sizes = []
    for place in (None, to):
        runtime = runtime_of(redis_url, place)
        runtime.client.flushdb()
        submit_wave(load_flows([TRACED])["shop"], "2026-04-01T07", entities=KEYS, runtime=runtime)
        sizes.append([len(raw) for raw in runtime.client.lrange("main.collect", 0, -1)])
    assert [len(found) for found in sizes] == [2, 2]
    assert abs(max(sizes[0]) - max(sizes[1])) < 20
    assert max(sizes[1]) < 4096


def test_a_collector_that_is_gone_costs_no_wave(redis_url, to):
    gone = Collector("http://127.0.0.1:1")
    assert run(runtime_of(redis_url, gone), gone).progress().reason == "done"


def test_without_the_setting_nothing_of_it_is_imported():
    # redis-py imports other parts of opentelemetry by itself, where it is installed.
    code = (
        "import sys, pipeline.workers.worker; pipeline.workers.worker.make_runner(pipeline.workers.worker.runtime());"
        "sys.exit('pipeline.telemetry.spans' in sys.modules or 'opentelemetry.exporter' in sys.modules)"
    )
    with Processes(patience=5) as processes:
        env = worker_env("redis://127.0.0.1:1/0", [], "main")
        child = processes.start("look", [sys.executable, "-c", code], env)
        until(lambda: child.code is not None, 60)
    assert child.code == 0


def test_a_worker_refuses_to_start_with_an_address_that_is_none(redis_url):
    with Processes(patience=5) as processes:
        env = worker_env(redis_url, [TRACED], "main") | {"PIPELINE_TRACES": "collector:4318"}
        command = [sys.executable, "-m", "celery", "-A", "pipeline.app", "worker", "-c", "1"]
        child = processes.start("worker", command, env)
        until(lambda: child.code is not None, 60)
        assert child.code == 2
