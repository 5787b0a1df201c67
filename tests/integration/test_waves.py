"""Waves on real Redis and real workers: order, number of runs, partitions, timeouts."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline import Flow, Wave, submit_wave
from pipeline.errors import UnknownName, WaveError
from pipeline.flows.discover import load_flows
from pipeline.local.processes import Workers
from pipeline.settings import Settings
from pipeline.waves.runtime import Runtime
from tests.support.waiting import until

FLOWS = Path(__file__).parent / "flows"
GRAPHS, FAULTS = str(FLOWS / "graphs.py"), str(FLOWS / "faults.py")
START = datetime(2026, 3, 1, tzinfo=UTC)
_hours = iter(START + timedelta(hours=n) for n in range(100_000))


@pytest.fixture(scope="module")
def flows():
    return load_flows([GRAPHS, FAULTS])


@pytest.fixture(scope="module")
def workers(url: str) -> Iterator[Workers]:
    """Two workers that live as long as this module's tests, which therefore each use dates of their own."""
    with Workers(url, flows=[GRAPHS, FAULTS], count=2, env={"PIPELINE_SHARD_SIZE": "5"}) as found:
        found.wait_ready()
        yield found


@pytest.fixture(scope="module")
def runtime(url: str) -> Runtime:
    return Runtime(Settings(redis_url=url, version="main", shard_size=5, shard_max=5))


@pytest.fixture
def submit(runtime: Runtime, workers: Workers):
    """`submit_wave` on this module's Redis, for a date that no other test uses."""

    def run(flow: Flow, date: datetime | None = None, **options) -> Wave:
        return submit_wave(flow, date=date or next(_hours), runtime=runtime, **options)

    return run


@pytest.fixture
def runs(runtime: Runtime):
    """Gives what ran for a wave of the graphs' flows, in its order, as (task, entity or scope)."""

    def read(wave: Wave) -> list[tuple[str, str]]:
        lines = runtime.client.lrange(f"trace {wave.date:%Y-%m-%dT%H}", 0, -1)
        return [tuple(line.decode().split(" ")) for line in lines]

    return read


def shops(count: int, cities: int = 3) -> dict[str, dict[str, str]]:
    return {f"shop{n}": {"city": f"city{n % cities}"} for n in range(count)}


def check_order(
    flow: Flow, wave: Wave, ran: list[tuple[str, str]], entities: dict[str, dict[str, str]]
) -> None:
    """Every task ran once at each of its places, after all its inputs that share an entity with it."""
    assert set(Counter(ran).values()) <= {1}
    place = {pair: n for n, pair in enumerate(ran)}
    cities = sorted({features["city"] for features in entities.values()})
    members = {"@all": list(entities)} | {
        f"@{c}": [e for e, f in entities.items() if f["city"] == c] for c in cities
    }

    def where(task: str) -> list[str]:
        per = flow.tasks[task].per
        return list(entities) if per is None else ["@all"] if per == "wave" else [f"@{c}" for c in cities]

    assert set(place) == {(task, w) for task in flow.tasks for w in where(task)}
    for task in flow.tasks.values():
        for w in where(task.name):
            own = set(members.get(w, [w]))
            for pipe in task.inputs:
                befores = [b for b in where(pipe) if own & set(members.get(b, [b]))]
                assert befores
                assert all(place[pipe, b] < place[task.name, w] for b in befores), (pipe, task.name, w)
    for task in flow.tasks:
        assert {str(status) for status in wave.statuses(task).values()} == {"finished"}


def test_twelve_tasks_with_a_partition_task_in_the_middle_run_in_order_and_once(flows, submit, runs):
    flow, entities = flows["twelve"], shops(23)
    wave = submit(flow, entities=entities).wait(60)
    check_order(flow, wave, runs(wave), entities)
    assert wave.result("k", "shop7") == {"made": list("abcdefghijkp")}
    assert wave.progress().ended == wave.progress().total == 11 * 23 + 3


@settings(max_examples=24, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 23), count=st.integers(1, 17), cities=st.integers(1, 4))
def test_random_graphs_run_in_order_and_once(flows, submit, runs, seed, count, cities):
    flow, entities = flows[f"random{seed}"], shops(count, cities)
    wave = submit(flow, entities=entities).wait(60)
    check_order(flow, wave, runs(wave), entities)


def test_a_group_may_end_in_a_group(flows, submit, runs):
    flow, entities = flows["forked"], shops(11)
    wave = submit(flow, entities=entities).wait(20)
    assert len(wave.spec.partitions) == 3  # more canvases than there are children that could be kept waiting
    check_order(flow, wave, runs(wave), entities)


def test_small_work_travels_as_one_message_a_queue_once_its_cost_is_known(flows, submit, runs):
    flow, entities = flows["twelve"], shops(12)
    submit(flow, entities=entities).wait(60)
    wave = submit(flow, entities=entities).wait(60)
    assert wave.spec.fused == (0, 1)
    check_order(flow, wave, runs(wave), entities)


def test_a_hanging_source_of_one_partition_delays_only_that_partition_and_only_until_the_timeout(
    flows, submit, runtime
):
    entities = {f"{c}{n}": {"country": c} for c in ("fast", "quick", "slow") for n in range(4)}
    runtime.client.set("hang", 1)
    try:
        wave = submit(flows["hanging"], entities=entities)
        started = time.monotonic()
        others = [e for e, f in entities.items() if f["country"] != "slow"]
        until(lambda: all(wave.statuses("joined")[e].status == "finished" for e in others), 5.5)
        assert all(wave.statuses("joined")[e].status == "pending" for e in entities if e not in others)
        until(lambda: all(s.status == "finished" for s in wave.statuses("joined").values()), 20)
        assert 5.5 < time.monotonic() - started < 15
    finally:
        runtime.client.delete("hang")
    wave.wait(30)
    assert wave.result("joined", "slow3") == {"other": 2, "source": None}
    assert wave.result("joined", "fast3") == {"other": 2, "source": 1}
    assert wave.statuses("joined")["slow3"].degraded
    assert not wave.statuses("joined")["fast3"].degraded
    assert wave.statuses("source")["slow3"].late
    told = {(i.kind, i.unit.task, i.number) for i in wave.incidents()}
    assert told == {("timeout", "joined", 1), ("late", "source", 1)}
    assert wave.result("source", "slow3") == {"value": 1}


def test_what_fails_touches_no_neighbour_and_retry_runs_only_that(flows, submit, runtime):
    entities = {name: {"country": "x"} for name in ("bad1", "bad2", *(f"good{n}" for n in range(9)))}
    runtime.client.set("break", 1)
    try:
        wave = submit(flows["breaking"], entities=entities).wait(30)
    finally:
        runtime.client.delete("break")
    assert str(wave.statuses("fragile")["bad1"]) == "failed: error"
    assert str(wave.statuses("pooled")["bad1"]) == "skipped: missing input"
    assert str(wave.statuses("pooled")["good1"]) == "finished"
    assert wave.errors("fragile")["fragile"]["bad1"].startswith("ValueError: no data for bad1 (faults.py:")
    assert wave.errors("doubled")["doubled"]["bad2"] == "missing input: fragile (failed: error)"
    wave.retry().wait(30)
    assert {str(s) for t in ("fragile", "doubled", "pooled") for s in wave.statuses(t).values()} == {
        "finished"
    }
    assert wave.result("pooled", "bad1") == 9
    assert wave.errors() == {}
    assert wave.progress().count("finished") == wave.progress().total == 33


def test_time_limits_hold_in_processes_and_in_threads(flows, submit):
    wave = submit(flows["limited"], entities=["endless", "quick1", "quick2"]).wait(20)
    for name in ("endless", "threads"):
        assert str(wave.statuses(name)["endless"]) == "failed: timed out"
        assert "time limit of" in wave.errors(name)[name]["endless"]
    assert str(wave.statuses("threads")["quick1"]) == "finished"
    assert wave.result("after", "endless") == "None None"


def test_a_wave_past_its_expiry_is_closed_and_the_rest_reads_as_expired(flows, submit):
    wave = submit(flows["expiring"], entities=[f"e{n}" for n in range(40)]).wait(30)
    assert wave.info().reason == "expired"
    progress = wave.progress()
    assert progress.ended == progress.total
    assert progress.tasks["awake"]["skipped: expired"] > 0
    assert "expired" in str(progress)
    wave.retry()
    wave.cancel()
    assert wave.info().reason == "cancelled"
    assert {s.reason for s in wave.statuses("awake").values()} <= {"cancelled", None}


def test_a_wave_that_is_submitted_twice_is_one_wave(flows, submit, runs):
    flow, entities = flows["twelve"], shops(4)
    date = next(_hours)
    first, second = (submit(flow, date=date, entities=entities) for _ in range(2))
    assert first.id == second.id
    first.wait(30)
    assert max(Counter(runs(first)).values()) == 1
    other = submit(flow, date=date, entities=shops(3))
    assert other.id != first.id


def test_an_open_wave_refuses_retry(flows, submit):
    wave = submit(flows["expiring"], entities=[f"e{n}" for n in range(40)])
    with pytest.raises(WaveError, match="is still open"):
        wave.retry()
    wave.cancel()


def test_only_some_tasks_run_on_the_pipes_of_a_base_version(flows, submit):
    flow, date = flows["breaking"], next(_hours)
    entities = {"good": {"country": "x"}}
    submit(flow, date=date, entities=entities).wait(30)
    wave = submit(flow, date=date, entities=entities, only=["pooled"], base="main").wait(30)
    assert wave.result("pooled", "good") == 9
    assert wave.progress().total == 1


def test_entities_that_tasks_add_join_the_next_wave(flows, submit, runtime):
    flow = flows["growing"]
    runtime.states.bind(flow.state).add("first", country="x")
    one = submit(flow).wait(30)
    two = submit(flow).wait(30)
    assert set(one.statuses("discovering")) == {"first"}
    assert set(two.statuses("discovering")) == {"first", "first-child"}
    runtime.states.bind(flow.state).clear()


def test_an_empty_state_gives_a_wave_that_is_finished_at_once_and_says_so(flows, submit):
    wave = submit(flows["breaking"])
    assert wave.closed
    assert str(wave.progress()).endswith("closed (empty), 0 of 0 ended: no entities")


def test_nothing_is_left_of_waves_that_have_ended(flows, submit, runtime):
    wave = submit(flows["twelve"], entities=shops(11)).wait(30)
    assert not [m for m in runtime.client.zrange("deadlines", 0, -1) if m.decode().startswith(wave.id)]
    until(
        lambda: not any(runtime.client.llen(f"main.{kind}") for kind in ("collect", "compute", "control")), 5
    )
    for key in runtime.client.scan_iter("wave:*"):
        assert runtime.client.ttl(key) > 0, key
    assert not list(runtime.client.scan_iter("wave-shards:*"))


def test_a_submission_that_died_halfway_is_continued_by_the_next_one(
    flows, runtime, submit, runs, monkeypatch
):
    flow, date, entities = flows["twelve"], next(_hours), shops(9)

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(type(runtime.sender), "send", die)
    with pytest.raises(KeyboardInterrupt):
        submit(flow, date=date, entities=entities)
    monkeypatch.undo()
    wave = submit(flow, date=date, entities=entities).wait(30)
    check_order(flow, wave, runs(wave), entities)


def test_a_submission_that_died_halfway_is_finished_by_the_keepers(flows, runtime, submit, runs, monkeypatch):
    flow, entities = flows["twelve"], shops(9)
    monkeypatch.setattr(type(runtime.sender), "send", lambda *_: 0)
    wave = submit(flow, entities=entities)
    monkeypatch.undo()
    wave.wait(40)
    check_order(flow, wave, runs(wave), entities)


def test_unknown_names_are_answered_with_the_near_ones(flows, submit, runtime):
    wave = submit(flows["twelve"], entities=shops(2)).wait(30)
    with pytest.raises(UnknownName, match=r"has no such entity\. Did you mean 'shop"):
        wave.result("k", "shop9")
    with pytest.raises(UnknownName, match="has no task 'kk'"):
        wave.statuses("kk")
    with pytest.raises(UnknownName, match="no wave 'main/twelv"):
        Wave.find("main/twelv 2026-03-01T00", runtime)


def test_an_unknown_state_is_refused_with_the_near_ones(flows, submit, runtime):
    runtime.states.bind("harbours").add("x")
    with pytest.raises(UnknownName, match=r"no state 'harbors'. Did you mean 'harbours'"):
        submit(flows["twelve"], state="harbors")
    runtime.states.bind("harbours").clear()
