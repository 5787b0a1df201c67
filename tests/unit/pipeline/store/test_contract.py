"""The pipe store in memory."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from pipeline.store import MemoryStore
from tests.contracts import Clock
from tests.contracts.store import DAY, THEN, StoreContract


class TestMemoryStore(StoreContract):
    @pytest.fixture
    def make(self):
        held = {}

        def make(**options):
            store = MemoryStore(**options)
            store._keys = held  # stores with other options look at the same pipes, as clients of one Redis do
            return store

        return make


def test_time_is_the_clocks():
    clock = Clock(1e9)
    store = MemoryStore(clock=clock, min_ttl=DAY)
    store.put("main", "delay", "2001-09-09T01", {"A": 1}, ttl=DAY)
    clock.advance(DAY - 1)
    assert store.get("main", "delay", "2001-09-09T01", ["A"]) == {"A": 1}
    clock.advance(2)
    assert store.get("main", "delay", "2001-09-09T01", ["A"]) == {}


def test_of_many_threads_that_put_the_same_pipe_one_is_first():
    store = MemoryStore()
    entities = [f"E{i}" for i in range(200)]
    with ThreadPoolExecutor(8) as pool:
        refused = list(
            pool.map(lambda n: store.put("main", "p", THEN, dict.fromkeys(entities, n), ttl=DAY), range(8))
        )
    assert sum(len(entities) - len(r) for r in refused) == len(entities)
    window = store.window("main", "p", THEN, 1, entities)
    assert window[0].tolist() == list(store.get("main", "p", THEN, entities).values())
