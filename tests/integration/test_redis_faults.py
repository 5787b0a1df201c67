"""Redis fails in all ways that can be made here while waves run: none is lost, nothing counts twice."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from pipeline import Wave, submit_wave
from pipeline.errors import UnknownName, UnreachableError
from pipeline.flows.discover import load_flows
from pipeline.local.processes import Workers
from pipeline.settings import Settings
from pipeline.waves.runtime import Runtime
from tests.support.breakable_redis import BreakableRedis
from tests.support.servers import until

OUTAGES = str(Path(__file__).parent / "flows" / "outages.py")
DATE = "2026-05-01T07"
NOBODY = "1"  # a port at which nobody listens


@pytest.fixture(scope="module")
def flows():
    return load_flows([OUTAGES])


@pytest.fixture
def server() -> Iterator[BreakableRedis]:
    """A server that keeps what it was told when it is restarted."""
    with BreakableRedis({"appendonly": "yes"}) as found:
        yield found


@pytest.fixture
def runtime(server: BreakableRedis) -> Runtime:
    return Runtime(Settings(redis_url=server.url, version="main", shard_size=5, shard_max=5), patience=30)


@pytest.fixture
def witness(tmp_path: Path) -> Path:
    """The file in which tasks write down what they run."""
    (tmp_path / "witness").touch()
    return tmp_path / "witness"


@pytest.fixture
def workers(server: BreakableRedis, witness: Path) -> Iterator[Workers]:
    """Two workers that are ready, on a lease that is longer than any of the faults."""
    env = {"WITNESS": str(witness), "PIPELINE_SOCKET_TIMEOUT": "2s", "PIPELINE_LEASE": "20s"}
    with Workers(server.url, flows=[OUTAGES], count=2, env=env, patience=5) as found:
        found.wait_ready()
        yield found


def places(count: int) -> dict[str, dict[str, str]]:
    return {f"place{n}": {"country": f"c{n % 2}"} for n in range(count)}


def ran(witness: Path) -> Counter[str]:
    return Counter(witness.read_text().splitlines())


def check_finished(wave: Wave) -> None:
    """Every entity of every task has finished, is counted once, and has its pipe."""
    progress = wave.progress()
    assert progress.count("finished") == progress.ended == progress.total, (progress, wave.errors())
    for task in wave.spec.plan.steps:
        statuses = wave.statuses(task)
        assert {s.status for s in statuses.values()} == {"finished"}
        if wave.spec.plan.steps[task].per is None:
            assert set(wave.runtime.store.get("main", task, wave.date, list(statuses))) == set(statuses)
    assert wave.runtime.client.zcard("deadlines") == 0


def in_the_midst(witness: Path) -> None:
    """Wait until a wave is well on its way."""
    until(lambda: len(witness.read_text().splitlines()) > 8)


def test_a_restart_in_the_middle_of_a_wave_costs_seconds_and_no_entity(
    server, runtime, workers, witness, flows
):
    wave = submit_wave(flows["steps"], date=DATE, entities=places(60), runtime=runtime)
    in_the_midst(witness)
    server.restart()
    wave.wait(40)
    check_finished(wave)
    assert wave.info().lost == 0
    assert max(ran(witness).values()) == 1


def test_a_crash_of_redis_that_lasts_some_seconds_costs_no_entity(server, runtime, workers, witness, flows):
    wave = submit_wave(flows["steps"], date=DATE, entities=places(60), runtime=runtime)
    in_the_midst(witness)
    server.kill()
    time.sleep(4)  # the outage
    server.start()
    wave.wait(40)
    check_finished(wave)


@pytest.mark.parametrize("kind", ["normal", "pubsub", "both"])
def test_connections_that_are_cut_cost_a_running_task_nothing(kind, server, runtime, workers, witness, flows):
    wave = submit_wave(flows["lengthy"], date=DATE, entities=["one"], runtime=runtime)
    until(lambda: ran(witness))
    with server.client() as client:
        for name in ("normal", "pubsub") if kind == "both" else (kind,):
            client.execute_command("CLIENT", "KILL", "TYPE", name)
    started = time.monotonic()
    other = submit_wave(flows["steps"], date=DATE, entities=places(10), runtime=runtime).wait(20)
    assert (
        time.monotonic() - started < 6
    )  # a worker went on by itself while the other one still runs the task
    check_finished_apart_from_others(other)
    wave.wait(20)
    assert ran(witness)["lengthy one"] == 1
    assert wave.info().lost == 0
    check_finished(wave)


def check_finished_apart_from_others(wave: Wave) -> None:
    progress = wave.progress()
    assert progress.count("finished") == progress.total, (progress, wave.errors())


def test_workers_whose_blocked_connections_are_cut_again_and_again_take_the_next_wave_at_once(
    server, runtime, workers, witness, flows
):
    with server.client() as client:
        for n in range(3):
            until(lambda: _blocked(client) == 2)
            client.execute_command("CLIENT", "KILL", "TYPE", "normal")
            wave = submit_wave(flows["steps"], date=f"2026-05-02T0{n}", entities=places(10), runtime=runtime)
            started = time.monotonic()
            wave.wait(20)
            assert time.monotonic() - started < 6
            check_finished(wave)


def _blocked(client: Redis) -> int:
    return sum(found["cmd"].lower() == "brpop" for found in client.client_list())


def test_a_full_redis_stops_waves_and_loses_none(server, runtime, workers, witness, flows):
    wave = submit_wave(flows["steps"], date=DATE, entities=places(60), runtime=runtime)
    in_the_midst(witness)
    with server.client() as client:
        client.config_set("maxmemory", 1)
        with pytest.raises(UnreachableError, match=r"is full .*Raise its maxmemory"):
            submit_wave(flows["steps"], date="2026-05-01T08", entities=places(6), runtime=runtime)
        time.sleep(4)  # the fault
        client.config_set("maxmemory", 0)
    wave.wait(60)
    check_finished(wave)
    assert all(child.code is None for child in workers.children)


def test_a_primary_that_was_made_a_replica_is_waited_for(server, runtime, workers, witness, flows):
    wave = submit_wave(flows["steps"], date=DATE, entities=places(60), runtime=runtime)
    in_the_midst(witness)
    with server.client() as client:
        client.execute_command("REPLICAOF", "127.0.0.1", NOBODY)
        time.sleep(4)  # the fault
        client.execute_command("REPLICAOF", "NO", "ONE")
    wave.wait(60)
    check_finished(wave)
    assert all(child.code is None for child in workers.children)


def test_a_redis_that_answers_later_than_the_time_out_delays_and_loses_nothing(
    server, runtime, workers, witness, flows
):
    wave = submit_wave(flows["steps"], date=DATE, entities=places(60), runtime=runtime)
    in_the_midst(witness)
    with server.client() as client:
        client.execute_command("CLIENT", "PAUSE", "5000", "ALL")
    wave.wait(60)
    check_finished(wave)


def test_a_redis_that_lost_its_data_ends_the_wave_with_a_text_and_the_workers_take_the_next(
    witness, flows, tmp_path, command_on
):
    with BreakableRedis() as server:
        env = {"WITNESS": str(witness), "PIPELINE_SOCKET_TIMEOUT": "2s"}
        runtime = Runtime(Settings(redis_url=server.url, version="main", shard_size=5), patience=30)
        with Workers(server.url, flows=[OUTAGES], count=2, env=env, patience=5) as workers:
            workers.wait_ready()
            wave = submit_wave(flows["steps"], date=DATE, entities=places(60), runtime=runtime)
            in_the_midst(witness)
            server.restart()
            with pytest.raises(UnknownName, match="not in Redis any more: its ttl is over, or Redis lost it"):
                wave.wait(20)
            shown = command_on(server.url)("show", "steps", code=2).output
            assert shown == "wave: no wave 'steps' in Redis. `wave ls` lists them.\n"
            again = submit_wave(flows["steps"], date=DATE, entities=places(20), runtime=runtime).wait(30)
            check_finished(again)
