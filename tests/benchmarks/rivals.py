"""Rival: one plain process that writes and reads the same pipes with redis-py's pipelines.

It calls the same functions for the same entities, encodes with the same library, writes once with a time to live,
and reads what the computation tasks need. It keeps no statuses, claims nothing and survives nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import orjson
from redis import Redis

from tests.benchmarks.flows import COLLECTED, DAYS_KEPT, NUMBERS, OBJECTS, Functions

SIZE = 1000  # entities whose commands travel in one pipeline
INPUTS = {"joined": COLLECTED, "final": ("joined",)}
TTL = DAYS_KEPT * 86400
NAN = np.uint64(0x7FF8000000000000)

Call = Callable[[Callable[..., Any], Sequence[tuple[Any, ...]]], list[Any]]


def objects(client: Redis, entities: Sequence[str], stamp: str) -> float:
    """Run the flow of JSON objects; gives the seconds."""
    return _timed(client, OBJECTS, entities, stamp, _in_turn, None)


def numbers(client: Redis, entities: Sequence[str], stamp: str, slot: int) -> float:
    """Run the flow of numbers, which also go into a slot of their series; gives the seconds."""
    return _timed(client, NUMBERS, entities, stamp, _in_turn, slot)


def threads(client: Redis, entities: Sequence[str], stamp: str) -> float:
    """Run the flow of JSON objects with its collections in eight threads; gives the seconds."""
    with ThreadPoolExecutor(8) as pool:
        return _timed(
            client,
            OBJECTS,
            entities,
            stamp,
            lambda f, rows: list(pool.map(f, *zip(*rows, strict=True))),
            None,
        )


def _in_turn(function: Callable[..., Any], rows: Sequence[tuple[Any, ...]]) -> list[Any]:
    return [function(*row) for row in rows]


def _timed(
    client: Redis, functions: Functions, entities: Sequence[str], stamp: str, call: Call, slot: int | None
) -> float:
    start = time.perf_counter()
    for pipe, function in functions.items():
        collects = pipe in COLLECTED
        for part in _parts(entities):
            rows = (
                [(entity, stamp) for entity in part] if collects else _read(client, INPUTS[pipe], part, stamp)
            )
            values = (call if collects else _in_turn)(function, rows)
            _write(client, pipe, part, stamp, values, slot)
    return time.perf_counter() - start


def _parts(entities: Sequence[str]) -> Iterator[Sequence[str]]:
    return (entities[i : i + SIZE] for i in range(0, len(entities), SIZE))


def _read(client: Redis, pipes: Sequence[str], entities: Sequence[str], stamp: str) -> list[tuple[Any, ...]]:
    """Read the inputs of some entities, a row each."""
    pipeline = client.pipeline(transaction=False)
    for pipe in pipes:
        for entity in entities:
            pipeline.get(f"rival/{pipe} {entity} {stamp}")
    found = [orjson.loads(blob) for blob in pipeline.execute()]
    columns = [found[i : i + len(entities)] for i in range(0, len(found), len(entities))]
    return list(zip(*columns, strict=True))


def _write(
    client: Redis, pipe: str, entities: Sequence[str], stamp: str, values: Sequence[Any], slot: int | None
) -> None:
    pipeline = client.pipeline(transaction=False)
    for entity, value in zip(entities, values, strict=True):
        pipeline.set(f"rival/{pipe} {entity} {stamp}", orjson.dumps(value), nx=True, ex=TTL)
    if slot is not None:
        packed = (np.array(values).view(np.uint64) ^ NAN).tobytes()
        for i, entity in enumerate(entities):
            key = f"rival/{pipe} {entity} series"
            pipeline.setrange(key, slot * 8, packed[i * 8 : i * 8 + 8])
            pipeline.expire(key, TTL)
    pipeline.execute()
