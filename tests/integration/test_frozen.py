"""Code that holds the GIL stops all of its process: that is ended from outside, and the guilty entity alone fails."""

from __future__ import annotations

import time
from pathlib import Path

import psutil
import pytest

from pipeline import Wave, submit_wave
from pipeline.flows.discover import load_flows
from pipeline.local.processes import Workers
from pipeline.settings import Settings
from pipeline.waves.runtime import Runtime
from tests.support.servers import until

FLOWS = str(Path(__file__).parent / "flows" / "frozen.py")
KEYS = ["holder", *(f"meter{n}" for n in range(7))]
LIMIT = 3.0  # seconds, of the tasks


@pytest.fixture
def flows():
    return load_flows([FLOWS])


@pytest.fixture
def runtime(redis_url) -> Runtime:
    return Runtime(Settings(redis_url=redis_url, version="main", shard_size=2, shard_max=2))


def workers(url: str, **options) -> Workers:
    return Workers(url, flows=[FLOWS], env={"PIPELINE_LEASE": "6s"}, **options)


def end(wave: Wave, found: Workers, limit: float = 90.0) -> None:
    """Wait for its end, and start a worker anew whenever one has ended."""
    deadline, alive = time.monotonic() + limit, len(found.children)
    while not wave.closed:
        assert time.monotonic() < deadline, wave.progress()
        if len(found.children) - len(found.ended()) < alive:
            found.add()
        time.sleep(0.1)


def statuses(wave: Wave, task: str) -> dict[str, str]:
    return {key: str(status) for key, status in wave.statuses(task).items()}


def check(wave: Wave, task: str) -> None:
    others = dict.fromkeys(KEYS[1:], "finished")
    assert statuses(wave, task) == {"holder": "failed: timed out", **others}, wave.errors()
    assert wave.errors(task)[task]["holder"].startswith(f"not done within the time limit of {LIMIT:g} s")


def test_a_worker_that_stands_still_is_ended_and_the_guilty_entity_times_out_alone(redis_url, runtime, flows):
    queues = ["collect", "compute", "control"]
    with (
        workers(redis_url, pool="threads", concurrency=4, queues=queues) as threads,
        workers(redis_url, concurrency=1, queues=["solo"]) as solo,
    ):
        threads.wait_ready()
        solo.wait_ready()
        began = time.monotonic()
        wave = submit_wave(flows["frozen"], "2026-05-01T07", entities=KEYS, runtime=runtime)
        until(threads.ended, LIMIT + 10)
        assert time.monotonic() - began < LIMIT + 10
        assert threads.ended()[0].code == 137
        end(wave, threads)
        assert len(threads.ended()) == 1  # a second worker has never met it
        assert not solo.ended()
    check(wave, "held")
    assert set(statuses(wave, "after").values()) == {"finished", "finished (degraded)"}
    assert {"frozen", "alone", "hung"} <= {incident.kind for incident in wave.incidents()}


@pytest.mark.parametrize("pool", ["threads", "solo"])
def test_it_is_so_where_only_such_workers_run_things_alone(redis_url, runtime, flows, pool):
    with workers(redis_url, pool=pool, concurrency=1) as found:
        found.wait_ready()
        wave = submit_wave(flows["frozen"], "2026-05-01T07", entities=KEYS, runtime=runtime)
        end(wave, found)
    check(wave, "held")


def test_a_batch_that_may_be_split_is_halved_until_the_guilty_entity_is_alone(redis_url, runtime, flows):
    with (
        workers(redis_url, pool="threads", concurrency=2, queues=["collect", "control"]) as threads,
        workers(redis_url, concurrency=1, queues=["solo"]) as solo,
    ):
        threads.wait_ready()
        solo.wait_ready()
        one_shard = Runtime(Settings(redis_url=redis_url, version="main"))
        wave = submit_wave(flows["pieces"], "2026-05-01T07", entities=KEYS, runtime=one_shard)
        end(wave, threads)
    check(wave, "batched")


@pytest.mark.parametrize("pool", ["threads", "solo"])
def test_long_c_code_within_its_limit_lives_and_keeps_its_lease(redis_url, runtime, flows, pool):
    with workers(redis_url, pool=pool, concurrency=1) as found, workers(redis_url, queues=["solo"]) as keeper:
        found.wait_ready()
        keeper.wait_ready()
        began = time.monotonic()
        wave = submit_wave(flows["lasting"], "2026-05-01T07", entities=KEYS, runtime=runtime).wait(80)
        assert not found.ended()
    assert time.monotonic() - began > 6  # a lease
    assert set(statuses(wave, "long").values()) == {"finished"}
    assert wave.info().lost == 0
    assert {incident.kind for incident in wave.incidents()} <= {"untaken"}  # others had to wait for it


@pytest.mark.parametrize("pool", ["threads", "solo"])
def test_nothing_is_left_of_a_worker_that_ends(redis_url, pool):
    with workers(redis_url, pool=pool) as found:
        found.wait_ready()
        process = psutil.Process(found.pids[0])
        (watchdog,) = process.children(recursive=True)
        process.kill()
        until(lambda: not watchdog.is_running() or watchdog.status() == psutil.STATUS_ZOMBIE, 10)
