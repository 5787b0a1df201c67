"""Workers, beat and Flower as Celery's own commands start them; leases, lost children, threads."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from redis import Redis

from pipeline import Wave, submit_wave
from pipeline.flows.cron import due_hour
from pipeline.flows.discover import load_flows
from pipeline.flows.pipe import stamp
from pipeline.local.processes import Workers, celery_command, worker_env
from pipeline.local.supervise import Processes
from pipeline.settings import Settings
from pipeline.waves.runtime import Runtime
from tests.support.waiting import until

FLOWS = Path(__file__).parent / "flows"
GRAPHS, FAULTS = str(FLOWS / "graphs.py"), str(FLOWS / "faults.py")
DATE = "2026-04-01T07"


@pytest.fixture
def flows():
    return load_flows([GRAPHS, FAULTS])


@pytest.fixture
def runtime(redis_url: str) -> Runtime:
    return Runtime(Settings(redis_url=redis_url, version="main"))


@pytest.fixture
def processes() -> Iterator[Processes]:
    with Processes(patience=5) as found:
        yield found


def start(url: str, **options) -> Workers:
    env = {"PIPELINE_LEASE": "2s"}
    return Workers(url, flows=[GRAPHS, FAULTS], env=env, **options)


def test_a_lease_is_renewed_for_as_long_as_a_task_runs(redis_url, runtime, flows):
    with start(redis_url, count=2) as workers:
        workers.wait_ready()
        wave = submit_wave(flows["lasting"], date=DATE, entities=["one"], runtime=runtime).wait(30)
    assert runtime.client.lrange(f"long {DATE}", 0, -1) == [b"one"]
    assert str(wave.statuses("long")["one"]) == "finished"


def test_a_child_that_dies_costs_one_more_run_at_once(redis_url, runtime, flows):
    with start(redis_url, count=1) as workers:
        workers.wait_ready()
        wave = submit_wave(flows["killing"], date=DATE, entities=["one"], runtime=runtime).wait(30)
    assert wave.result("hearse", "one") == 1
    assert wave.info().lost == 1
    assert [(i.kind, i.unit.task) for i in wave.incidents()] == [("died", "deadly")]


def test_a_worker_that_is_killed_costs_no_more_than_its_lease(redis_url, runtime, flows):
    with start(redis_url, count=1) as workers:
        workers.wait_ready()
        wave = submit_wave(flows["lasting"], date=DATE, entities=["one"], runtime=runtime)
        until(lambda: runtime.client.exists(f"long {DATE}"), 10)
        workers.kill(0)
        killed = time.monotonic()
        workers.add()
        wave.wait(40)
    assert time.monotonic() - killed < 25
    assert runtime.client.llen(f"long {DATE}") == 2
    assert wave.info().lost == 1
    assert [(i.kind, i.unit.task) for i in wave.incidents()] == [("lost", "long")]


def test_an_entity_that_kills_its_worker_again_and_again_fails_alone(redis_url, runtime, flows):
    with start(redis_url, count=2) as workers:
        workers.wait_ready()
        entities = {name: {"country": "x"} for name in ("a", "b", "poison", "y", "z")}
        wave = submit_wave(flows["poisoning"], date=DATE, entities=entities, runtime=runtime).wait(60)
    others = [name for name in entities if name != "poison"]
    for task in ("poison", "poisoned_batch"):
        assert str(wave.statuses(task)["poison"]) == "failed: worker lost"
        assert {str(wave.statuses(task)[name]) for name in others} == {"finished"}
    assert {str(s) for s in wave.statuses("poisoned_whole").values()} == {"failed: worker lost"}
    assert {i.kind for i in wave.incidents()} == {"died", "alone"}
    assert wave.errors("poison")["poison"]["poison"].startswith("its worker died each time it ran this")
    assert [wave.result("survivors", name) for name in others] == [2, 2, 2, 2]
    assert str(wave.statuses("survivors")["poison"]) == "skipped: missing input"


def test_a_run_that_no_signal_ends_is_killed_and_its_neighbours_keep_what_they_have(
    redis_url, runtime, flows
):
    with start(redis_url, count=1) as workers:
        workers.wait_ready()
        entities = {name: {"country": "x"} for name in ("a", "deaf", "z")}
        wave = submit_wave(flows["hung"], date=DATE, entities=entities, runtime=runtime).wait(30)
    assert str(wave.statuses("deaf")["deaf"]) == "failed: timed out", wave.errors()
    assert ("hung", "deaf") in [(i.kind, i.unit.task) for i in wave.incidents()]
    assert {str(s) for s in wave.statuses("listener").values()} == {"finished", "finished (degraded)"}


def test_a_worker_that_is_told_to_stop_gives_back_what_it_cannot_end_in_time(redis_url, runtime, flows):
    env = {"PIPELINE_LEASE": "60s", "PIPELINE_DRAIN": "1s"}
    with Workers(redis_url, flows=[FAULTS], count=1, env=env, patience=20) as workers:
        workers.wait_ready()
        wave = submit_wave(flows["lasting"], date=DATE, entities=["one"], runtime=runtime)
        until(lambda: runtime.client.exists(f"long {DATE}"), 10)
        workers.children[0].send(signal.SIGTERM)
        until(lambda: workers.children[0].code is not None, 10)
        workers.add()
        wave.wait(30)
    assert runtime.client.llen(f"long {DATE}") == 2
    assert wave.info().lost == 0
    assert [i.kind for i in wave.incidents()] == ["returned"]
    assert str(wave.statuses("long")["one"]) == "finished"


@pytest.mark.parametrize(
    "numbers", [[signal.SIGTERM, signal.SIGTERM], [signal.SIGQUIT], [signal.SIGINT, signal.SIGINT]]
)
def test_however_a_worker_is_stopped_nothing_is_lost(redis_url, runtime, flows, numbers):
    env = {"PIPELINE_LEASE": "60s"}
    with Workers(redis_url, flows=[FAULTS], count=1, env=env, patience=20) as workers:
        workers.wait_ready()
        wave = submit_wave(flows["lasting"], date=DATE, entities=["one", "two"], runtime=runtime)
        until(lambda: runtime.client.exists(f"long {DATE}"), 10)
        for number in numbers:
            workers.children[0].send(number)
            time.sleep(0.5)
        until(lambda: workers.children[0].code is not None, 20)
        workers.add()
        wave.wait(30)
    assert wave.info().lost == 0
    assert {str(s) for s in wave.statuses("long").values()} == {"finished"}


def test_threads_run_waves_as_processes_do(redis_url, runtime, flows):
    with start(redis_url, count=1, concurrency=4, pool="threads") as workers:
        workers.wait_ready()
        entities = {f"shop{n}": {"city": f"city{n % 3}"} for n in range(20)}
        wave = submit_wave(flows["twelve"], date=DATE, entities=entities, runtime=runtime).wait(30)
        assert {str(s) for t in flows["twelve"].tasks for s in wave.statuses(t).values()} == {"finished"}
        ran = Counter(runtime.client.lrange(f"trace {DATE}", 0, -1))
        assert set(ran.values()) == {1}
        limited = submit_wave(flows["limited"], date=DATE, entities=["endless", "x"], runtime=runtime).wait(
            20
        )
    assert str(limited.statuses("endless")["endless"]) == "failed: timed out"
    assert str(limited.statuses("endless")["x"]) == "failed: timed out"  # its turn never came
    assert str(limited.statuses("threads")["x"]) == "finished"


def test_beat_starts_the_wave_that_was_due_and_two_beats_start_one(redis_url, runtime, flows, processes):
    flow = flows["scheduled"]
    runtime.states.bind(flow.state).update({"a": {"country": "x"}, "b": {"country": "y"}})
    env = worker_env(redis_url, [FAULTS], "main")
    before = due_hour(flow.schedule, datetime.now(UTC))
    processes.start("worker", celery_command("worker", "-c", "1", "-l", "WARNING"), env)
    for name in ("beat1", "beat2"):
        processes.start(name, celery_command("beat", "-l", "WARNING"), env)
    until(lambda: runtime.records.ids(), 40)
    ids = runtime.records.ids()
    hours = {stamp(before), stamp(due_hour(flow.schedule, datetime.now(UTC)))}
    assert set(ids) <= {f"main/scheduled {hour}" for hour in hours}
    wave = Wave.find(ids[-1], runtime).wait(30)
    assert wave.progress().count("finished") == 2
    assert not Path("celerybeat-schedule").exists()


def test_flower_shows_the_names_of_the_pipelines_tasks(redis_url, runtime, flows, processes):
    env = worker_env(redis_url, [GRAPHS], "main") | {"FLOWER_UNAUTHENTICATED_API": "true"}
    port = _free_port()
    address = f"http://127.0.0.1:{port}/api/tasks"
    command = celery_command("flower", f"--port={port}", "--address=127.0.0.1", "--logging=warning")
    processes.start("flower", command, env)
    until(lambda: _json(address) is not None, 40)
    with start(redis_url, count=1) as workers:
        workers.wait_ready()
        graphs = iter([flow for flow in flows.values() if flow.name.startswith("random")])

        def shown() -> bool:  # Flower asks workers for their events every few seconds
            flow = next(graphs)
            submit_wave(flow, date=DATE, entities={"shop": {"city": "x"}}, runtime=runtime).wait(30)
            time.sleep(0.5)
            return {f"{flow.name}.{name}" for name in flow.tasks} <= _names(address)

        until(shown, 60)


def test_a_worker_that_knows_no_version_refuses_to_start(redis_url, tmp_path):
    env = {k: v for k, v in os.environ.items() if k not in ("PIPELINE_VERSION", "GIT_DIR")}
    env |= {"REDIS_URL": redis_url, "PYTHONPATH": str(Path(__file__).parents[2])}
    found = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "celery", "-q", "-A", "pipeline.app", "worker", "-c", "1"],
        cwd=tmp_path,
        env=env,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert found.returncode == 2
    assert "wave: no version: PIPELINE_VERSION is not set and this is not a git checkout" in found.stderr


def test_a_worker_without_redis_says_which_and_what_to_do(tmp_path):
    env = os.environ | {
        "REDIS_URL": f"redis://user:secret@127.0.0.1:{_free_port()}/0",
        "PIPELINE_VERSION": "main",
    }
    found = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "celery", "-q", "-A", "pipeline.app", "worker", "-c", "1"],
        env=env,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert found.returncode == 2
    assert "wave: Redis at redis://user:***@127.0.0.1:" in found.stderr
    assert "set REDIS_URL to one that runs" in found.stderr
    assert "secret" not in found.stderr + found.stdout


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def _json(address: str):
    try:
        with urllib.request.urlopen(address, timeout=5) as reply:
            return json.loads(reply.read())
    except OSError:
        return None


def _names(address: str) -> set[str]:
    return {found["name"] for found in (_json(address) or {}).values()}


@pytest.fixture(autouse=True)
def _no_client_left(redis_url: str) -> Iterator[None]:
    yield
    with Redis.from_url(redis_url) as client:
        client.flushdb()
