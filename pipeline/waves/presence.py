"""Who is there: each worker, beat and keeper says so every ten seconds, so that `wave doctor` can tell who is not.

present         sorted set: a process as JSON, by when it is taken for gone (seconds, by Redis' clock)
present:skewed  sorted set: those of them whose own clock differs from Redis', by how many seconds it is ahead
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import orjson
from redis import Redis

from pipeline.clock import SKEW, skew
from pipeline.formatting import length, some
from pipeline.forms import FORM, OLDEST_FORM, known_fields, readable

PRESENT, REFUSED = "present", "refused"
SKEWED = "present:skewed"
EVERY = 10.0  # seconds between two signs of life
GONE_AFTER = 35.0  # seconds without one after which a process is taken for gone

WORKER, BEAT, KEEPER = "worker", "beat", "keeper"


@dataclass(frozen=True, slots=True)
class Process:
    """A process that says that it is there. It never changes while it lives."""

    kind: str  # worker (its keeper gives the sign), beat (its loop does), or keeper: one beside beat
    version: str
    host: str
    pid: int
    queues: tuple[str, ...] = ()  # that a worker takes from, by their full names
    slots: int = 0  # how many units a worker runs at a time
    form: int = FORM  # the newest form of records and messages that it reads; 0 for one of 0.1.0
    skew: float = 0.0  # seconds that its clock is ahead of Redis', by what it says of itself

    @classmethod
    def this(cls, kind: str, version: str, queues: tuple[str, ...] = (), slots: int = 0) -> Process:
        """Describe the calling process."""
        return cls(kind, version, socket.gethostname(), os.getpid(), queues, slots)


class Presence:
    """Gives the signs of life of one process."""

    def __init__(self, client: Redis, process: Process) -> None:
        self._client: Any = client
        values = asdict(process)
        del values["skew"]  # which changes, and stands elsewhere
        self._member = orjson.dumps(values)
        self._told = 0.0

    def tell(self) -> None:
        """Report presence, unless the last one was a moment ago."""
        if self._told and time.monotonic() - self._told < EVERY:
            return
        now, ahead = self._client.time()[0], skew(self._client.time)
        with self._client.pipeline(transaction=False) as pipe:
            pipe.zadd(PRESENT, {self._member: now + GONE_AFTER})
            pipe.zremrangebyscore(PRESENT, "-inf", now)
            pipe.expire(PRESENT, 3600)
            if abs(ahead) > SKEW:
                pipe.zadd(SKEWED, {self._member: ahead})
                pipe.zinterstore(SKEWED, {SKEWED: 1, PRESENT: 0})  # without those that are gone
                pipe.expire(SKEWED, 3600)
            else:
                pipe.zrem(SKEWED, self._member)
            pipe.execute()
        self._told = time.monotonic()

    def leave(self) -> None:
        """Report that the process ends."""
        with self._client.pipeline(transaction=False) as pipe:
            pipe.zrem(PRESENT, self._member)
            pipe.zrem(SKEWED, self._member)
            pipe.execute()


def present(client: Redis) -> list[Process]:
    """Return the processes that are there, without what cannot be read."""
    found: Any = client
    members = found.zrangebyscore(PRESENT, found.time()[0], "+inf")
    skews = dict(found.zrange(SKEWED, 0, -1, withscores=True))
    return [replace(process, skew=skews.get(member, 0.0)) for member, process in readable(_process, members)]


def _process(member: bytes) -> tuple[bytes, Process]:
    values = {"form": 0} | orjson.loads(member)
    return member, Process(**known_fields(Process, values | {"queues": tuple(values["queues"])}))


def form_to_write(client: Redis) -> int:
    """Return the newest form of records that all processes read which are there, and this one writes."""
    return max(OLDEST_FORM, min([FORM, *(process.form for process in present(client))]))


def wrong_clocks(processes: Iterable[Process]) -> dict[str, str]:
    """Return host -> in words, by how much its clock differs from Redis', as which of its processes say."""
    hosts: dict[str, list[Process]] = {}
    for process in processes:
        if abs(process.skew) > SKEW:
            hosts.setdefault(process.host, []).append(process)
    return {host: _wrong(host, its) for host, its in sorted(hosts.items())}


def _wrong(host: str, processes: Sequence[Process]) -> str:
    most = max((process.skew for process in processes), key=abs)
    who = some([f"{process.kind} pid {process.pid}" for process in processes])
    return f"{host} ({who}) is {length(abs(most))} {'ahead of' if most > 0 else 'behind'} Redis"
