"""What the loss of a worker or of one of its children costs."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from pipeline import State, Wave, submit_wave
from pipeline.flows.discover import load_flows
from pipeline.local.processes import Workers
from pipeline.settings import Settings
from pipeline.waves.runtime import Runtime
from tests.support.servers import until

FLOWS = str(Path(__file__).parent / "flows" / "losses.py")
LEASE = 6.0
ENTITIES = [f"meter{n}" for n in range(2000)]


@pytest.fixture
def flows():
    return load_flows([FLOWS])


@pytest.fixture
def runtime(redis_url: str) -> Runtime:
    return Runtime(Settings(redis_url=redis_url, version="main", shard_size=100, shard_max=100))


def workers(url: str, lease: float = LEASE, **options) -> Workers:
    env = {"PIPELINE_LEASE": f"{lease}s", "PIPELINE_SHARD_MAX": "100"}
    return Workers(url, flows=[FLOWS], env=env, **options)


def statuses(wave: Wave) -> set[str]:
    return {str(s) for task in wave.spec.plan.steps for s in wave.statuses(task).values()}


def test_a_wave_whose_only_worker_is_killed_ends_a_lease_and_five_seconds_later_at_most(
    redis_url, runtime, flows
):
    with workers(redis_url, concurrency=2) as found:
        found.wait_ready()
        usual = submit_wave(flows["steady"], "2026-05-01T00", entities=ENTITIES, runtime=runtime).wait(60)
        wave = submit_wave(flows["steady"], "2026-05-01T01", entities=ENTITIES, runtime=runtime)
        until(lambda: wave.progress().ended >= len(ENTITIES), 60)  # half of it, as there are two tasks
        found.kill(0)
        found.add()
        wave.wait(120)
    assert statuses(wave) == {"finished"}
    assert wave.info().lost > 0
    assert wave.progress().seconds <= usual.progress().seconds + LEASE + 5


def test_a_run_that_is_lost_with_its_worker_is_no_run_that_hung(redis_url, runtime, flows):
    """Though its time limit is long over when its lease ends."""
    with workers(redis_url, concurrency=1) as found:
        found.wait_ready()
        wave = submit_wave(flows["short"], "2026-05-01T00", entities=["a", "b"], runtime=runtime)
        until(lambda: runtime.client.exists("brief 2026-05-01T00"), 20)
        found.children[0].send(signal.SIGKILL)
        found.add()
        wave.wait(60)
    assert statuses(wave) == {"finished"}
    assert wave.info().lost == 1


def test_the_death_of_a_child_is_noticed_long_before_its_lease_ends(redis_url, runtime, flows):
    with workers(redis_url, lease=300, concurrency=2) as found:
        found.wait_ready()
        wave = submit_wave(flows["dying"], "2026-05-01T00", entities=["a", "b"], runtime=runtime).wait(60)
    assert statuses(wave) == {"finished"}
    assert wave.info().lost == 1


def test_a_run_that_lost_its_lease_and_ends_after_another_one_has_failed_is_finished_late(
    redis_url, runtime, flows
):
    """Its worker hangs and renews nothing, while its child runs on."""
    with workers(redis_url, concurrency=1) as found:
        found.wait_ready()
        wave = submit_wave(flows["doubtful"], "2026-05-01T00", entities=["a"], runtime=runtime)
        until(lambda: runtime.client.exists("wavering 2026-05-01T00"), 20)
        found.children[0].send(signal.SIGSTOP)
        try:
            found.add()
            wave.wait(60)
            assert statuses(wave) == {"failed: error", "skipped: missing input"}
            until(lambda: "finished (late)" in statuses(wave), 30)
        finally:
            found.children[0].send(signal.SIGCONT)
    assert str(wave.statuses("wavering")["a"]) == "finished (late)"
    assert wave.result("wavering", "a") == 5.0
    assert runtime.store.window("main", "wavering", wave.date, 1, ["a"]).tolist() == [[5.0]]
    assert wave.errors("wavering") == {}
    assert wave.progress().tasks["wavering"] == {"finished (late)": 1}


def test_workers_run_a_wave_that_is_submitted_again_as_it_is_now(redis_url, runtime, flows):
    """Redis came back empty: they remember the wave that they ran, of other entities."""
    state = State("meters")
    with workers(redis_url, concurrency=2) as found:
        found.wait_ready()
        for names in (["old1", "old2", "old3"], ["new1", "new2"]):
            runtime.client.flushdb()
            runtime.states.bind(state).update({name: {} for name in names})
            wave = submit_wave(flows["dying"], "2026-05-01T01", state=state, runtime=runtime).wait(60)
            assert wave.statuses("fatal").keys() == set(names)
            assert statuses(wave) == {"finished"}
            assert runtime.store.get("main", "fatal", wave.date, names) == dict.fromkeys(names, 1)
