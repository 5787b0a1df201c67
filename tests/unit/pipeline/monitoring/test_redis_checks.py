"""The checks of `wave doctor` on Redis, from facts."""

from __future__ import annotations

import pytest

from pipeline.monitoring.findings import FAIL, OK, WARN, Facts
from pipeline.monitoring.redis_checks import check_redis

HEALTHY = {
    "redis_version": "7.0.15",
    "role": "master",
    "maxmemory_policy": "noeviction",
    "maxmemory": 2**30,
    "used_memory": 2**20,
    "aof_enabled": 1,
}


def look(**facts):
    given = {"version": "main", "flows": (), "control": HEALTHY} | facts
    return {finding.check: finding for finding in check_redis(Facts(**given))}


def info(**lines):
    return look(control=HEALTHY | lines)


def test_of_a_healthy_redis_there_is_nothing_to_say():
    assert {finding.level for finding in look(stores={"port 1": HEALTHY}).values()} == {OK}


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


def test_a_store_of_its_own_is_judged_by_other_rules():
    stores = {"port 1": HEALTHY | {"maxmemory_policy": "allkeys-lru", "aof_enabled": 0}}
    found = look(stores=stores)
    assert found["store eviction (port 1)"].level == WARN
    assert found["store version (port 1)"].level == OK
    stores = {"port 1": HEALTHY | {"maxmemory_policy": "volatile-ttl"}}
    assert look(stores=stores)["store eviction (port 1)"].level == OK
