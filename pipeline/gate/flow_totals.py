"""Totals: what became of all waves of a flow, as sums that only grow; for metrics, whoever asks and however often.

    totals                   set: "{version}/{flow}" of those that have any
    totals:{version}/{flow}  hash, written by the gate in the script that ends a run or a wave:
        {task} {character}   entities that ended so (see status)
        {task} us            microseconds of work
        @waves {reason}      waves that ended so; "{reason} backfill" for those of old hours
        @took {bucket}, ms   durations of waves, backfills apart
        @run {task} {bucket}, ms   durations of runs of one shard
        @incident {kind}     see incidents

A wave that is retried counts again with what the retry added.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

from redis import Redis

from pipeline.errors import UnreadableError
from pipeline.forms import readable
from pipeline.gate.status import decode, known

KEY = "totals"
KEPT_MS = 90 * 86_400_000  # the totals of a flow are kept so long after its last wave
# The upper bounds (seconds) of the buckets of durations, of waves and of runs.
WAVE_BOUNDS = (1, 3, 10, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200)
RUN_BOUNDS = (0.1, 0.3, 1, 3, 10, 30, 60, 120, 300, 600, 1800)


@dataclass(frozen=True, slots=True)
class Histogram:
    """How many values lay up to each bound."""

    bounds: Sequence[float]  # upper ones, included; one more bucket holds what is above
    counts: Sequence[int]  # of each bucket, one more than there are bounds
    total: float  # of the values

    @property
    def count(self) -> int:
        """How many values there were."""
        return sum(self.counts)

    def cumulated(self) -> list[tuple[float, int]]:
        """Return each bound with the number of values up to it; the last bound is infinite."""
        return list(zip([*self.bounds, float("inf")], accumulate(self.counts), strict=True))


@dataclass(frozen=True)
class Totals:
    """What became of the waves of one flow in one version."""

    version: str
    flow: str
    entities: Mapping[tuple[str, str, str], int]  # (task, status, reason or "") -> entities
    marks: Mapping[tuple[str, str], int]  # (task, "late" or "degraded") -> entities
    work: Mapping[str, float]  # task -> seconds
    waves: Mapping[tuple[str, bool], int]  # (reason, whether backfills) -> waves
    incidents: Mapping[str, int]  # kind -> times
    took: Histogram  # seconds of waves
    runs: Mapping[str, Histogram] = field(default_factory=dict)  # task -> seconds of its runs


def read_totals(redis: Redis) -> list[Totals]:
    """Return the totals of all flows and versions, by name."""
    client: Any = redis
    names = sorted(name.decode() for name in client.smembers(KEY))
    with client.pipeline(transaction=False) as pipe:
        for name in names:
            pipe.hgetall(f"{KEY}:{name}")
        found = pipe.execute(raise_on_error=False)
    gone = [name for name, fields in zip(names, found, strict=True) if fields == {}]
    if gone:
        client.srem(KEY, *gone)
    return [
        _totals(name, dict(readable(_sum, fields.items())))
        for name, fields in zip(names, found, strict=True)
        if isinstance(fields, dict) and fields
    ]


def _sum(item: tuple[bytes, bytes]) -> tuple[str, int]:
    first, *rest = item[0].decode().split(" ")
    if not rest or not (first.startswith("@") or rest[0] == "us" or known(rest[0])):
        raise UnreadableError(f"{item[0]!r} is not the name of a sum")
    return item[0].decode(), int(item[1])


def _totals(name: str, fields: Mapping[str, int]) -> Totals:
    version, _, flow = name.rpartition("/")
    entities: dict[tuple[str, str, str], int] = {}
    marks: dict[tuple[str, str], int] = {}
    work: dict[str, float] = {}
    waves: dict[tuple[str, bool], int] = {}
    for key, n in fields.items():
        first, *rest = key.split(" ")
        if first == "@waves":
            waves[rest[0], len(rest) > 1] = n
        elif first.startswith("@"):
            continue
        elif rest[0] == "us":
            work[first] = n / 1e6
        else:
            status = decode(rest[0])
            outcome = (first, status.status, status.reason or "")
            entities[outcome] = entities.get(outcome, 0) + n
            for mark in ("late", "degraded"):
                if getattr(status, mark):
                    marks[first, mark] = marks.get((first, mark), 0) + n
    incidents = {key.split(" ")[1]: n for key, n in fields.items() if key.startswith("@incident ")}
    tasks = dict.fromkeys(key.split(" ")[1] for key in fields if key.startswith("@run "))
    runs = {task: _histogram(fields, f"@run {task} ", RUN_BOUNDS) for task in tasks}
    took = _histogram(fields, "@took ", WAVE_BOUNDS)
    return Totals(version, flow, entities, marks, work, waves, incidents, took, runs)


def _histogram(fields: Mapping[str, int], prefix: str, bounds: Sequence[float]) -> Histogram:
    counts = [fields.get(f"{prefix}{i}", 0) for i in range(1, len(bounds) + 2)]
    return Histogram(bounds, counts, fields.get(f"{prefix}ms", 0) / 1000)
