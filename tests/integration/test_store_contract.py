"""The pipe stores over a real Redis, and over a real Redis Cluster of one node."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from redis import Redis, RedisCluster
from redis.exceptions import ResponseError

from pipeline.settings import Settings
from pipeline.store import ClusterStore, RedisStore
from pipeline.waves.runtime import Runtime
from tests.contracts.store import DAY, THEN, StoreContract
from tests.support.breakable_redis import BreakableRedis


class TestRedisStore(StoreContract):
    @pytest.fixture
    def make(self, redis_client):
        return lambda **options: RedisStore(redis_client, **options)


class TestClusterStoreOnOneRedis(StoreContract):
    @pytest.fixture
    def make(self, redis_client):
        return lambda **options: ClusterStore(redis_client, **options)


@pytest.fixture(scope="module")
def cluster_url():
    with BreakableRedis({"cluster-enabled": "yes"}) as server, server.client() as client:
        client.execute_command("CLUSTER", "ADDSLOTS", *range(16384))
        limit = time.monotonic() + 10
        while b"cluster_state:ok" not in client.execute_command("CLUSTER", "INFO"):
            assert time.monotonic() < limit, "the cluster did not come up within 10 s"
            time.sleep(0.02)
        yield server.url


class TestClusterStore(StoreContract):
    """A cluster of one node refuses a command over keys of different slots as any cluster does."""

    @pytest.fixture
    def make(self, cluster_url):
        with RedisCluster.from_url(cluster_url) as client:
            client.flushall()
            yield lambda **options: ClusterStore(client, **options)


@pytest.fixture
def store(redis_client):
    return RedisStore(redis_client)


def test_a_client_that_decodes_is_no_matter_for_what_is_written_by_hand(redis_url):
    with Redis.from_url(redis_url, decode_responses=True) as client:
        store = RedisStore(client)
        store.put("main", "delay", THEN, {"A": 1.5, "B": b"\xff"}, ttl=DAY)
        assert store.get("main", "delay", THEN, ["A", "B"]) == {"A": 1.5, "B": b"\xff"}
        assert store.window("main", "delay", THEN, 1, ["A"]).tolist() == [[1.5]]


def test_both_protocols_are_spoken(redis_url):
    for protocol in (2, 3):
        with Redis.from_url(redis_url, protocol=protocol) as client:
            store = RedisStore(client)
            refused = store.put(f"resp{protocol}", "delay", THEN, {"A": 1, "B": {}}, ttl=DAY)
            assert refused == set()
            assert store.put(f"resp{protocol}", "delay", THEN, {"A": 2}, ttl=DAY) == {"A"}
            assert store.get(f"resp{protocol}", "delay", THEN, ["A", "X", "B"]) == {"A": 1, "B": {}}


def test_after_an_error_in_the_midst_the_next_answers_are_right(store, redis_client):
    redis_client.rpush("main/delay B series 2013-06-20", "this is not a series")
    values = {f"E{i}": i for i in range(600)}
    with pytest.raises(ResponseError, match="WRONGTYPE"):
        store.put("main", "delay", THEN, {**values, "B": 1, "C": 2}, ttl=DAY)
    assert store.get("main", "delay", THEN, ["C", "X", "B"]) == {"C": 2, "B": 1}


def test_threads_share_a_store(store):
    entities = [f"E{i}" for i in range(700)]

    def work(n):
        refused = store.put("main", "p", THEN, dict.fromkeys(entities, n), ttl=DAY)
        return len(entities) - len(refused), store.get("main", "p", THEN, entities)

    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(work, range(12)))
    assert sum(written for written, _ in found) == len(entities)
    assert all(values == found[0][1] for _, values in found)
    assert store.window("main", "p", THEN, 1, entities)[0].tolist() == list(found[0][1].values())


def test_a_store_goes_on_after_its_redis_was_restarted():
    with BreakableRedis({"appendonly": "yes"}) as server:
        store = Runtime(Settings(redis_url=server.url, min_ttl=2 * DAY)).store
        store.put("main", "delay", THEN, {"A": 1}, ttl=DAY)
        server.restart()
        assert store.put("main", "delay", THEN, {"A": 2, "B": 3}, ttl=DAY) == {"A"}
        server.restart()
        assert store.window("main", "delay", THEN, 1, ["A", "B"]).tolist() == [[1.0, 3.0]]
        assert store.ttl("main/delay B 2013-06-25T13") > DAY
        store.client.close()
