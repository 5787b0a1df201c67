"""The checks of `wave doctor`, from facts."""

from __future__ import annotations

import pytest

from pipeline import Flow, task
from pipeline.monitoring.doctor import FAIL, OK, WARN, Facts, diagnose
from pipeline.waves.presence import BEAT, WORKER, Process

HEALTHY = {
    "redis_version": "7.0.15",
    "role": "master",
    "maxmemory_policy": "noeviction",
    "maxmemory": 2**30,
    "used_memory": 2**20,
    "aof_enabled": 1,
}


@task(time_limit="5m", queue="special")
def quick(entity):
    return 1


@task(time_limit="7h")
def endless(entity):
    return 1


FLOW = Flow("flow", [quick], schedule="5 * * * *")
QUEUES = ("main.control", "main.solo", "main.special")
WORKERS = (Process(WORKER, "main", "host", 1, QUEUES, 4), Process(BEAT, "main", "host", 2))


def look(**facts):
    given = {"version": "main", "flows": (FLOW,), "control": HEALTHY, "processes": WORKERS} | facts
    return {finding.check: finding for finding in diagnose(Facts(**given))}


def info(**lines):
    return look(control=HEALTHY | lines)


def test_a_healthy_deployment_has_no_findings():
    found = look()
    assert {finding.level for finding in found.values()} == {OK}
    assert found["keepers"].text == "1 look at 0 deadlines"
    assert found["queue main.special"].text == "1 workers, 4 slots, 0 messages wait"


@pytest.mark.parametrize(
    ("check", "level", "lines"),
    [
        ("redis version", FAIL, {"redis_version": "6.0.16"}),
        ("redis version", OK, {"redis_version": "6.2.0"}),
        ("redis version", OK, {"redis_version": "10.1.0"}),
        ("redis role", FAIL, {"role": "slave"}),
        ("eviction", FAIL, {"maxmemory_policy": "allkeys-lru"}),
        ("eviction", WARN, {"maxmemory_policy": "allkeys-lru", "maxmemory": 0}),
        ("persistence", WARN, {"aof_enabled": 0}),
        ("persistence", OK, {"aof_enabled": 0, "connected_slaves": 1}),
        ("persistence", FAIL, {"aof_last_write_status": "err"}),
        ("redis memory", WARN, {"used_memory": 0.8 * 2**30}),
        ("redis memory", FAIL, {"used_memory": 0.95 * 2**30}),
        ("redis memory", FAIL, {"used_memory": 95, "maxmemory": 0, "total_system_memory": 100}),
    ],
)
def test_what_redis_says_of_itself_is_judged(check, level, lines):
    found = info(**lines)[check]
    assert found.level == level
    assert bool(found.advice) == (level != OK)


@pytest.mark.parametrize(("saves", "text"), [(True, "snapshots only"), (False, "none"), (None, "none that")])
def test_snapshots_alone_are_a_warning(saves, text):
    found = look(control=HEALTHY | {"aof_enabled": 0}, saves=saves)["persistence"]
    assert found.level == WARN
    assert found.text.startswith(text)


@pytest.mark.parametrize(("skew", "level"), [(0.4, OK), (-3, WARN), (3, WARN), (40, FAIL)])
def test_a_clock_that_differs_is_told(skew, level):
    assert look(skew=skew)["clock"].level == level


def test_a_time_limit_beyond_the_visibility_timeout_is_named():
    found = look(flows=(Flow("long", [quick, endless]),))["time limits"]
    assert found.level == FAIL
    assert "long.endless" in found.text
    assert "quick" not in found.text


def test_a_queue_without_a_worker_is_worse_when_something_waits_in_it():
    idle = look(processes=())
    assert {f.level for name, f in idle.items() if name.startswith("queue")} == {WARN}
    busy = look(processes=(), depths={"main.special": 3})
    assert busy["queue main.special"].level == FAIL
    assert "Start a worker with -Q main.special" in busy["queue main.special"].advice
    assert busy["queue main.solo"].level == WARN
    assert look(processes=(), depths={"main.solo": 1})["queue main.solo"].level == FAIL


def test_workers_of_another_version_are_no_help():
    other = (Process(WORKER, "other", "host", 1, ("other.special",), 4), Process(BEAT, "other", "host", 2))
    found = look(processes=other)
    assert found["queue main.special"].level == WARN
    assert found["beat"].level == FAIL
    assert "nobody starts flow" in found["beat"].text
    assert found["keepers"].level == OK  # a keeper keeps the deadlines of all versions


def test_no_beat_is_fine_where_nothing_has_a_schedule():
    assert look(flows=(), processes=())["beat"].level == OK


def test_deadlines_that_nobody_looks_at_are_a_failure():
    found = look(processes=(), deadlines=7, overlooked=tuple(f"main/f 2026-01-01T00 a {n}" for n in range(5)))
    assert found["keepers"].level == FAIL
    assert found["deadlines"].level == FAIL
    assert "5 are more than 30 s past" in found["deadlines"].text
    assert found["deadlines"].text.endswith("and 2 more")


def test_a_store_of_its_own_is_judged_by_other_rules():
    stores = {"port 1": HEALTHY | {"maxmemory_policy": "allkeys-lru", "aof_enabled": 0}}
    found = look(stores=stores)
    assert found["store eviction (port 1)"].level == WARN
    assert found["store version (port 1)"].level == OK
    stores = {"port 1": HEALTHY | {"maxmemory_policy": "volatile-ttl"}}
    assert look(stores=stores)["store eviction (port 1)"].level == OK
