"""Registries over a real Redis."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from pipeline.flows.state import State
from pipeline.states import RedisStates
from tests.contracts.registry import RegistryContract
from tests.support.servers import until


class TestRedisStates(RegistryContract):
    @pytest.fixture
    def make(self, redis_client):
        return lambda clock: RedisStates(redis_client, clock)


def test_time_is_redis_own_unless_given(redis_client):
    shops = RedisStates(redis_client).bind(State("shops", ttl="2s"))
    shops.add("S1")
    seconds, _ = redis_client.time()
    assert abs(shops.seen("S1").timestamp() - seconds) < 5
    until(lambda: not len(shops))


def test_the_keys_are_those_that_are_documented(redis_client):
    RedisStates(redis_client).bind("shops").add("S1", city="Bern")
    assert set(redis_client.keys()) == {b"states", b"state:shops", b"state:shops seen"}
    assert redis_client.hgetall("state:shops") == {b"S1": b'{"city":"Bern"}'}


def test_a_name_that_no_state_has_is_passed_over(redis_client):
    states = RedisStates(redis_client)
    states.bind("shops").add("S1")
    redis_client.sadd("states", b"\xff", b"a b")
    assert states.names() == ["shops"]


def test_an_entity_that_is_seen_while_others_drop_out_stays(redis_client):
    """Adding and dropping are one step each, so that the two keys of a state never disagree."""
    states = RedisStates(redis_client)
    shops = states.bind(State("shops", ttl="5ms"))
    stop = time.monotonic() + 0.5

    def add(n):
        while time.monotonic() < stop:
            shops.add(f"S{n}", n=n)

    def drop(_):
        while time.monotonic() < stop:
            len(shops)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda job: job[0](job[1]), [(add, 1), (add, 2), (drop, 0), (drop, 0)]))
    states.bind("shops").update({f"T{i}": {"n": i} for i in range(10)})
    assert set(redis_client.hkeys("state:shops")) == set(redis_client.zrange("state:shops seen", 0, -1))
