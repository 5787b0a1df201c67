"""Process pools inside of tasks work as in any program, and nothing of them outlives the task or its owner."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from pipeline import Wave, submit_wave
from pipeline.flows.discover import load_flows
from pipeline.local.processes import Workers
from pipeline.settings import Settings
from pipeline.waves.runtime import Runtime
from tests.support.servers import until

FLOWS = str(Path(__file__).parent / "flows" / "pools.py")
DATE = "2026-05-01T07"


@pytest.fixture
def flows():
    return load_flows([FLOWS])


@pytest.fixture
def runtime(redis_url) -> Runtime:
    return Runtime(Settings(redis_url=redis_url, version="main"))


@pytest.fixture
def workers(redis_url) -> Iterator[Workers]:
    with Workers(redis_url, flows=[FLOWS], concurrency=1, env={"PIPELINE_LEASE": "6s"}, patience=3) as found:
        found.wait_ready()
        yield found


def alive(runtime: Runtime, name: str) -> list[int]:
    """Return which of the processes that have said who they are still run."""
    pids = [int(pid) for pid in runtime.client.lrange(name, 0, -1)]
    assert pids
    return [p for p in pids if psutil.pid_exists(p) and psutil.Process(p).status() != psutil.STATUS_ZOMBIE]


def statuses(wave: Wave) -> dict[str, set[str]]:
    return {task: {str(s) for s in wave.statuses(task).values()} for task in wave.spec.plan.steps}


def test_pools_of_every_kind_work_in_tasks(runtime, workers, flows):
    wave = submit_wave(flows["pools"], DATE, entities=["a", "b"], runtime=runtime).wait(120)
    assert set().union(*statuses(wave).values()) == {"finished"}, wave.errors()
    assert wave.result("method", "a") == "forkserver"
    for name in ("executor", "threaded", "pool", "spawned", "forked", "joblibs"):
        assert wave.result(name, "b") == 30
    assert wave.info().lost == 0


@pytest.mark.parametrize("pool", ["threads", "solo"])
def test_they_work_in_workers_without_processes_of_their_own(redis_url, runtime, flows, pool):
    with Workers(redis_url, flows=[FLOWS], pool=pool, patience=3) as found:
        found.wait_ready()
        wave = submit_wave(flows["pools"], DATE, entities=["a"], runtime=runtime).wait(120)
    assert set().union(*statuses(wave).values()) == {"finished"}, wave.errors()
    assert wave.result("method", "a") == "forkserver"


def test_what_a_task_leaves_at_work_ends_with_it(runtime, workers, flows):
    for hour in range(2):  # the same child of the worker, twice
        runtime.client.delete("left")
        wave = submit_wave(flows["left"], f"2026-05-01T{hour:02}", entities=["a"], runtime=runtime).wait(60)
        assert statuses(wave) == {"leaving": {"finished"}}, wave.errors()
        until(lambda: not alive(runtime, "left"), 10)
    assert wave.info().lost == 0


def test_a_task_that_waits_for_a_pool_is_cut_off_at_its_limit(runtime, workers, flows):
    began = time.monotonic()
    wave = submit_wave(flows["limits"], DATE, entities=["first", "slow"], runtime=runtime).wait(60)
    assert time.monotonic() - began < 10
    assert {key: str(s) for key, s in wave.statuses("limited").items()} == {
        "first": "finished",
        "slow": "failed: timed out",
    }
    assert not wave.incidents()  # the child lives
    until(lambda: not alive(runtime, "limited"), 5)


def test_what_a_child_had_started_ends_when_it_is_killed(runtime, workers, flows):
    wave = submit_wave(flows["orphans"], DATE, entities=["a"], runtime=runtime).wait(60)
    assert statuses(wave) == {"dying": {"finished"}}
    assert wave.info().lost == 1
    until(lambda: not alive(runtime, "orphans"), 10)


def test_all_ends_when_the_worker_is_killed_in_the_middle_of_it(runtime, workers, flows):
    submit_wave(flows["work"], DATE, entities=["a"], runtime=runtime)
    until(lambda: runtime.client.llen("workers") == 2, 30)
    workers.children[0].send(signal.SIGKILL)  # it alone, not its group
    until(lambda: not alive(runtime, "workers"), 10)
