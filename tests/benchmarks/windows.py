"""Windows: 28 days of hours of 10,000 entities in one array, beside reading the single pipes.

The store's own `put` fills the pipes and series of a sample of entities, hour by hour. Those of all others hold the
same kind of numbers, but only their series are written, a whole row at a time: what is read is the same bytes, and
6.7 million pipes would take minutes and a gigabyte. The single pipes are read for the sample, and the time is scaled
to all entities.
"""

from __future__ import annotations

import json
import math
import statistics
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import orjson
from redis import Redis

from pipeline.execution.inputs import frame
from pipeline.flows.pipe import stamp
from pipeline.local.embedded import EmbeddedRedis
from pipeline.store import RedisStore, series

VERSION, PIPE = "windows", "delay"
ENTITIES, HOURS = 10_000, 28 * 24
SAMPLE = 40  # entities whose single pipes are written and read
READS = 3
TTL = 60 * 86400.0
NAMES = [f"shop-{i:05d}" for i in range(ENTITIES)]


def measure(client: Redis) -> dict[str, Any]:
    """Fill a store and read it both ways; gives the figures."""
    store = RedisStore(client)
    end = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    wanted = numbers(end)
    fill(store, end, wanted)
    arrays, frames, singles, exact = [], [], [], True
    for _ in range(READS):
        start = time.perf_counter()
        window = store.window(VERSION, PIPE, end, HOURS, NAMES)
        arrays.append(time.perf_counter() - start)
        frame(window, end, NAMES)
        frames.append(time.perf_counter() - start)
        exact = exact and np.array_equal(window, wanted, equal_nan=True)
        del window
    for _ in range(READS):
        start = time.perf_counter()
        single = read_singles(client, end)
        singles.append((time.perf_counter() - start) * ENTITIES / SAMPLE)
        exact = exact and np.array_equal(single, wanted[:, :SAMPLE], equal_nan=True)
    array = statistics.median(arrays)
    return {
        "window_s": round(array, 4),
        "window_frame_s": round(statistics.median(frames), 4),
        "window_ratio": round(statistics.median(singles) / array, 1),
        "window_exact": bool(exact),
    }


def numbers(end: datetime) -> np.ndarray:
    """Make (hours, entities) of numbers: a tenth is missing, a tenth is 0.0."""
    values = np.random.default_rng(int(end.timestamp())).normal(size=(HOURS, ENTITIES))
    kind = np.arange(values.size).reshape(values.shape) % 10
    values[kind == 3] = np.nan
    values[kind == 7] = 0.0
    return values


def fill(store: RedisStore, end: datetime, values: np.ndarray) -> None:
    """Write them: see the module."""
    for hour, date in enumerate([end - timedelta(hours=back) for back in range(HOURS - 1, -1, -1)]):
        row = values[hour, :SAMPLE].tolist()
        known = {name: value for name, value in zip(NAMES, row, strict=False) if value == value}
        store.put(VERSION, PIPE, date, known, TTL)
    start = 0
    for span in series.spans(end, HOURS):
        part = np.ascontiguousarray(values[start : start + span.hours, SAMPLE:].T)
        keys = [f"{VERSION}/{PIPE} {name}{span.tail}" for name in NAMES[SAMPLE:]]
        rows = [series.pack(row) for row in part]
        store._write_slots(keys, span.offset, rows, int(end.timestamp() + TTL))
        start += span.hours


def read_singles(client: Redis, end: datetime) -> np.ndarray:
    """Read the same window of the sample from its single pipes, all of an entity's in one command."""
    stamps = [
        f" {stamp(date)}" for date in [end - timedelta(hours=back) for back in range(HOURS - 1, -1, -1)]
    ]
    columns = []
    for name in NAMES[:SAMPLE]:
        head = f"{VERSION}/{PIPE} {name}"
        blobs = client.mget([head + tail for tail in stamps])
        columns.append([math.nan if blob is None else orjson.loads(blob) for blob in blobs])
    return np.array(columns).T


def main() -> None:
    """Print the figures of a private Redis."""
    with EmbeddedRedis() as redis, redis.client() as client:
        print(json.dumps(measure(client), indent=2))


if __name__ == "__main__":
    main()
