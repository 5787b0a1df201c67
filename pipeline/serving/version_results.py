"""What each version of a model did: counts, times and, for shadows, how far their answers are from those returned.

Gathered in the API's process and added to Redis once a second, so that a request costs no more.
"""

from __future__ import annotations

import asyncio
import math
from bisect import bisect_left
from collections import defaultdict, deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import orjson
from redis.asyncio import Redis
from redis.exceptions import RedisError

from pipeline.serving.batcher import Waiting
from pipeline.serving.names import Place
from pipeline.serving.wire import OK, REFUSED, Answered
from pipeline.telemetry.logs import get_logger

EVERY = 1.0  # seconds
PAIRS = 100  # of answers that are kept, for a person to look at
EDGES = tuple(0.001 * 2**i for i in range(17))  # seconds; the times are counted between these
TOLERANCE = 1e-6  # by which two numbers may differ, in relation to the larger one, and be the same

log = get_logger("pipeline.serving")


@dataclass(frozen=True, slots=True)
class VersionResults:
    """What one version did."""

    version: str
    answered: int
    refused: int  # instances that it said are no good
    failed: int
    p50: float  # seconds; upper edges of the classes that they are counted in
    p99: float
    compared: int  # answers as a shadow beside which there was one that was returned
    same: int  # of those
    difference: float  # mean absolute difference of the numbers in those


class Results:
    """Counts for the models of one version of the code."""

    def __init__(self, client: Redis, version: str) -> None:
        self._client: Any = client
        self._version = version
        self._counts: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
        self._pairs: dict[str, deque[bytes]] = defaultdict(lambda: deque(maxlen=PAIRS))
        self._tasks: set[asyncio.Task[None]] = set()
        self._flushing: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to write to Redis."""
        self._flushing = asyncio.get_running_loop().create_task(self._forever())

    async def close(self) -> None:
        """Write what is left."""
        for task in (*self._tasks, *([self._flushing] if self._flushing else [])):
            task.cancel()
        with suppress(RedisError, OSError):
            await self._flush()

    def answered(self, model: str, answer: Answered, seconds: float) -> None:
        """Count an answer."""
        counts = self._counts[model]
        what = "answered" if answer.status == OK else "refused" if answer.status == REFUSED else "failed"
        counts[f"{answer.version} {what}"] += 1
        if answer.status == OK:
            counts[f"{answer.version} t{_edge(seconds)}"] += 1

    def compare(self, model: str, returned: Waiting, copy: Waiting) -> None:
        """Compare two answers when both are there."""
        task = asyncio.get_running_loop().create_task(self._compare(model, returned, copy))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _compare(self, model: str, returned: Waiting, copy: Waiting) -> None:
        await asyncio.wait([returned.answer, copy.answer])
        first, second = _result(returned), _result(copy)
        if second is None:
            return
        counts, version = self._counts[model], second.version or copy.asked.version
        if second.status != OK or first is None or first.status != OK:
            counts[f"{version} shadow_failed"] += second.status != OK
            return
        distance = difference(first.value, second.value)
        counts[f"{version} compared"] += 1
        counts[f"{version} same"] += distance == 0.0
        if math.isfinite(distance):
            counts[f"{version} difference"] += distance
        self._pairs[model].append(
            orjson.dumps(
                {
                    "instances": copy.asked.instances,
                    first.version: first.value,
                    version: second.value,
                }
            )
        )

    async def _forever(self) -> None:
        while True:
            await asyncio.sleep(EVERY)
            try:
                await self._flush()
            except (RedisError, OSError) as error:
                log.warning("redis does not answer; results are kept", error=str(error))

    async def _flush(self) -> None:
        counts, pairs = self._counts, self._pairs
        if not counts and not pairs:
            return
        self._counts = defaultdict(lambda: defaultdict(float))
        self._pairs = defaultdict(lambda: deque(maxlen=PAIRS))
        try:
            await self._write(counts, pairs)
        except (RedisError, OSError):
            for model, found in counts.items():
                for name, number in found.items():
                    self._counts[model][name] += number
            raise

    async def _write(
        self, counts: Mapping[str, Mapping[str, float]], pairs: Mapping[str, deque[bytes]]
    ) -> None:
        async with self._client.pipeline(transaction=True) as pipe:
            for model, found in counts.items():
                key = Place(self._version, model).key("results")
                for name, number in found.items():
                    pipe.hincrbyfloat(key, name, number)
            for model, kept in pairs.items():
                key = Place(self._version, model).key("shadow")
                pipe.lpush(key, *kept)
                pipe.ltrim(key, 0, PAIRS - 1)
            await pipe.execute()


def _result(request: Waiting) -> Answered | None:
    """Return an answer that is there, None where there is none."""
    done = request.answer
    return None if done.cancelled() or done.exception() is not None else done.result()


def difference(one: Any, other: Any) -> float:
    """Return the mean absolute difference of two answers' numbers: 0.0 for equal ones, infinite for other shapes."""
    if isinstance(one, bool) or isinstance(other, bool) or not _comparable(one, other):
        return 0.0 if one == other else math.inf
    if isinstance(one, list):
        parts = [difference(a, b) for a, b in zip(one, other, strict=True)]
        return sum(parts) / len(parts) if parts else 0.0
    gap = abs(one - other)
    return 0.0 if gap <= TOLERANCE * max(abs(one), abs(other)) else float(gap)


def _comparable(one: Any, other: Any) -> bool:
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other)
    return isinstance(one, int | float) and isinstance(other, int | float)


def read(counts: Mapping[bytes, bytes]) -> list[VersionResults]:
    """Read what was counted: one result a version, in their order."""
    found: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for name, number in counts.items():
        version, _, what = name.decode().rpartition(" ")
        found[version][what] = float(number)
    return [_of(version, numbers) for version, numbers in sorted(found.items())]


def _of(version: str, numbers: Mapping[str, float]) -> VersionResults:
    compared = int(numbers["compared"])
    return VersionResults(
        version,
        int(numbers["answered"]),
        int(numbers["refused"]),
        int(numbers["failed"]),
        _quantile(numbers, 0.5),
        _quantile(numbers, 0.99),
        compared,
        int(numbers["same"]),
        numbers["difference"] / compared if compared else 0.0,
    )


def _edge(seconds: float) -> int:
    return bisect_left(EDGES, seconds)


def _quantile(numbers: Mapping[str, float], q: float) -> float:
    times = [numbers.get(f"t{i}", 0.0) for i in range(len(EDGES) + 1)]
    left = sum(times) * q
    for i, number in enumerate(times):
        left -= number
        if left <= 0 and number:
            return EDGES[i] if i < len(EDGES) else math.inf
    return 0.0
