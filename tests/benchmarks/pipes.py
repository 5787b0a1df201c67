"""What a pipe costs: put and get in slices of 500, beside redis-py's own pipelines.

    python -m tests.benchmarks.pipes

Each line gives pipes a second, and the microseconds of CPU that one takes in this process and in the server.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from redis import Redis

from pipeline.local.embedded import EmbeddedRedis
from pipeline.store import ClusterStore, RedisStore

PIPES = 50_000
SLICE = 500
DAY = 86400.0
DATE = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)

Shards = list[dict[str, Any]]


def shards(value: Callable[[int], Any]) -> Shards:
    """Make the values, a shard of entities at a time."""
    return [{f"E{i:06}": value(i) for i in range(a, a + SLICE)} for a in range(0, PIPES, SLICE)]


def rival_put(client: Redis, values: Shards) -> Iterable[None]:
    """Put as one would by hand."""
    expires = int(DATE.timestamp() + DAY)
    for shard in values:
        with client.pipeline(transaction=False) as pipe:
            for entity, value in shard.items():
                pipe.set(
                    f"rival/delay {entity} {DATE:%Y-%m-%dT%H}", orjson.dumps(value), nx=True, exat=expires
                )
            pipe.execute()
        yield


def rival_get(client: Redis, values: Shards) -> Iterable[None]:
    """Get as one would by hand."""
    for shard in values:
        with client.pipeline(transaction=False) as pipe:
            for entity in shard:
                pipe.get(f"rival/delay {entity} {DATE:%Y-%m-%dT%H}")
            assert [orjson.loads(value) for value in pipe.execute()] == list(shard.values())
        yield


def measure(client: Redis) -> None:
    """Print a line for each way."""
    objects, numbers = shards(lambda i: {"n": i, "mean": i * 0.37}), shards(lambda i: i * 0.37)
    line(client, "redis-py pipelines: put objects", rival_put(client, objects))
    line(client, "redis-py pipelines: get objects", rival_get(client, objects))
    for store in (RedisStore(client), ClusterStore(client)):
        name = type(store).__name__
        version = name.lower()

        def put(
            values: Shards, pipe: str, date: datetime, store: ClusterStore = store, version: str = version
        ) -> Iterable[set[str]]:
            return (store.put(version, pipe, date, shard, ttl=30 * DAY) for shard in values)

        def get(
            values: Shards, pipe: str, store: ClusterStore = store, version: str = version
        ) -> Iterable[Any]:
            return (store.get(version, pipe, DATE, list(shard)) for shard in values)

        line(client, f"{name}: put objects", put(objects, "object", DATE))
        line(client, f"{name}: get objects", get(objects, "object"))
        line(client, f"{name}: put numbers, new series", put(numbers, "number", DATE))
        line(client, f"{name}: put numbers", put(numbers, "number", DATE + timedelta(hours=1)))
        line(client, f"{name}: put numbers again (refused)", put(numbers, "number", DATE))
        line(client, f"{name}: get numbers", get(numbers, "number"))


def line(client: Redis, what: str, work: Iterable[Any]) -> None:
    """Do the work and print what it took."""
    server, own, start = _server_cpu(client), time.process_time(), time.perf_counter()
    for _ in work:
        pass
    took = time.perf_counter() - start
    own, server = time.process_time() - own, _server_cpu(client) - server
    print(
        f"{what:44} {PIPES / took:9,.0f}/s  client {own / PIPES * 1e6:5.2f} us  server {server / PIPES * 1e6:5.2f} us"
    )


def _server_cpu(client: Redis) -> float:
    used = client.info("cpu")
    return float(used["used_cpu_user"] + used["used_cpu_sys"])


if __name__ == "__main__":
    with EmbeddedRedis() as server, server.client() as client:
        measure(client)
