"""Rival: one plain process that writes and reads the same pipes with redis-py's pipelines.

It calls the same functions for the same entities, encodes with the same library, writes once with a time to live,
and reads what the computation tasks need. It keeps no statuses, claims nothing and survives nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
from redis import Redis

from tests.benchmarks.flows import COLLECTED, DAYS_KEPT, NUMBERS, OBJECTS, Functions

SIZE = 1000  # entities whose commands travel in one pipeline
INPUTS = {"joined": COLLECTED, "final": ("joined",)}
TTL = DAYS_KEPT * 86400
NAN = np.uint64(0x7FF8000000000000)

Rows = Sequence[tuple[Any, ...]]
Call = Callable[[Callable[..., Any], Rows], list[Any]]
Read = Callable[[Redis, Sequence[str]], list[bytes]]


def in_turn(function: Callable[..., Any], rows: Rows) -> list[Any]:
    """Call a function for each row."""
    return [function(*row) for row in rows]


def get(client: Redis, keys: Sequence[str]) -> list[bytes]:
    """Read values in a pipeline of GETs."""
    pipeline = client.pipeline(transaction=False)
    for key in keys:
        pipeline.get(key)
    return pipeline.execute()


def mget(client: Redis, keys: Sequence[str]) -> list[bytes]:
    """Read values in one command, which not every Redis can (a Cluster cannot)."""
    return client.mget(keys)


@dataclass(frozen=True)
class Plain:
    """One run of the flow for some entities."""

    client: Redis
    entities: Sequence[str]
    stamp: str
    functions: Functions
    call: Call = in_turn  # how collections are called
    read: Read = get
    slot: int | None = None  # of the series that numbers go into

    def run(self) -> float:
        """Run it; gives the seconds."""
        start = time.perf_counter()
        for pipe, function in self.functions.items():
            collects = pipe in COLLECTED
            for part in self._parts():
                rows = [(entity, self.stamp) for entity in part] if collects else self._inputs(pipe, part)
                values = (self.call if collects else in_turn)(function, rows)
                self._write(pipe, part, values)
        return time.perf_counter() - start

    def _parts(self) -> Iterator[Sequence[str]]:
        return (self.entities[i : i + SIZE] for i in range(0, len(self.entities), SIZE))

    def _inputs(self, pipe: str, part: Sequence[str]) -> Rows:
        """Read the inputs of a computation task, a row an entity."""
        keys = [f"rival/{name} {entity} {self.stamp}" for name in INPUTS[pipe] for entity in part]
        found = [orjson.loads(blob) for blob in self.read(self.client, keys)]
        columns = [found[i : i + len(part)] for i in range(0, len(found), len(part))]
        return list(zip(*columns, strict=True))

    def _write(self, pipe: str, part: Sequence[str], values: Sequence[Any]) -> None:
        pipeline = self.client.pipeline(transaction=False)
        for entity, value in zip(part, values, strict=True):
            pipeline.set(f"rival/{pipe} {entity} {self.stamp}", orjson.dumps(value), nx=True, ex=TTL)
        if self.slot is not None:
            packed = (np.array(values).view(np.uint64) ^ NAN).tobytes()
            for i, entity in enumerate(part):
                key = f"rival/{pipe} {entity} series"
                pipeline.setrange(key, self.slot * 8, packed[i * 8 : i * 8 + 8])
                pipeline.expire(key, TTL)
        pipeline.execute()


def objects(client: Redis, entities: Sequence[str], stamp: str) -> float:
    """Run the flow of JSON objects; gives the seconds."""
    return Plain(client, entities, stamp, OBJECTS).run()


def objects_mget(client: Redis, entities: Sequence[str], stamp: str) -> float:
    """Run it with MGET; gives the seconds."""
    return Plain(client, entities, stamp, OBJECTS, read=mget).run()


def numbers(client: Redis, entities: Sequence[str], stamp: str, slot: int) -> float:
    """Run the flow of numbers, which also go into a slot of their series; gives the seconds."""
    return Plain(client, entities, stamp, NUMBERS, slot=slot).run()


def threads(client: Redis, entities: Sequence[str], stamp: str) -> float:
    """Run the flow of JSON objects with its collections in eight threads; gives the seconds."""
    with ThreadPoolExecutor(8) as pool:

        def call(function: Callable[..., Any], rows: Rows) -> list[Any]:
            return list(pool.map(function, *zip(*rows, strict=True)))

        return Plain(client, entities, stamp, OBJECTS, call).run()
