"""Who is there: each worker, beat and keeper says so every ten seconds, so that `wave doctor` can tell who is not.

present    sorted set: a process as JSON, by when it is taken for gone (seconds, by Redis' clock)
"""

from __future__ import annotations

import os
import socket
import time
from dataclasses import asdict, dataclass
from typing import Any

import orjson
from redis import Redis

from pipeline.forms import FORM, OLDEST_FORM, known_fields, readable

PRESENT, REFUSED = "present", "refused"
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

    @classmethod
    def this(cls, kind: str, version: str, queues: tuple[str, ...] = (), slots: int = 0) -> Process:
        """Describe the calling process."""
        return cls(kind, version, socket.gethostname(), os.getpid(), queues, slots)


class Presence:
    """Gives the signs of life of one process."""

    def __init__(self, client: Redis, process: Process) -> None:
        self._client: Any = client
        self._member = orjson.dumps(asdict(process))
        self._told = 0.0

    def tell(self) -> None:
        """Report presence, unless the last one was a moment ago."""
        if self._told and time.monotonic() - self._told < EVERY:
            return
        now = self._client.time()[0]
        with self._client.pipeline(transaction=False) as pipe:
            pipe.zadd(PRESENT, {self._member: now + GONE_AFTER})
            pipe.zremrangebyscore(PRESENT, "-inf", now)
            pipe.expire(PRESENT, 3600)
            pipe.execute()
        self._told = time.monotonic()

    def leave(self) -> None:
        """Report that the process ends."""
        self._client.zrem(PRESENT, self._member)


def present(client: Redis) -> list[Process]:
    """Return the processes that are there, without what cannot be read."""
    found: Any = client
    members = found.zrangebyscore(PRESENT, found.time()[0], "+inf")
    return list(readable(_process, members))


def _process(member: bytes) -> Process:
    values = {"form": 0} | orjson.loads(member)
    return Process(**known_fields(Process, values | {"queues": tuple(values["queues"])}))


def form_to_write(client: Redis) -> int:
    """Return the newest form of records that all processes read which are there, and this one writes."""
    return max(OLDEST_FORM, min([FORM, *(process.form for process in present(client))]))
