"""Cover: how long forecasts last, as other packages tell it; read in the background, and kept for some seconds.

It takes many keys to know. Who asks gets what was read last, so that a page is never slower for it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from threading import Lock, Thread
from typing import Protocol

from redis.exceptions import RedisError

from pipeline.errors import PipelineError
from pipeline.extensions import installed
from pipeline.flows.flow import Flow
from pipeline.settings import Settings
from pipeline.telemetry.logs import get_logger
from pipeline.waves.runtime import Runtime

GROUP = "pipeline.cover"  # entry points of other packages: functions (runtime, flows) -> covers
KEPT = 30.0  # seconds until it is read again
WAIT = 10.0  # seconds that somebody waits for it who can wait

log = get_logger("pipeline.cover")


@dataclass(frozen=True, slots=True)
class Covered:
    """The cover of a flow's entities by one of its pipes, in hours from now."""

    version: str
    flow: str
    pipe: str
    least: int  # of the entity that is worst off
    p5: int  # one entity in twenty has no more
    median: int
    out: int  # entities that no stored forecast covers any more
    entities: int  # of how many this was read


class Tell(Protocol):
    """What another package knows of cover."""

    def __call__(self, runtime: Runtime, flows: Sequence[Flow]) -> Iterable[Covered]:
        """Read it for the entities of some flows."""


class Covers:
    """The cover of some flows, as of some seconds ago."""

    def __init__(
        self,
        runtime: Runtime,
        flows: Iterable[Flow],
        tell: Sequence[Tell] | None = None,
        kept: float = KEPT,
    ) -> None:
        """Take what tells it, by default what is installed."""
        self._runtime, self._flows, self._kept = runtime, tuple(flows), kept
        self._tell = installed(GROUP) if tell is None else tell
        self._lock = Lock()
        self._reading: Thread | None = None
        self._known: tuple[Covered, ...] = ()
        self._at = -1e9

    def known(self, wait: float = WAIT) -> Sequence[Covered]:
        """Return what was read last, waiting so many seconds where that is old; none where nothing was read yet."""
        if not self._tell or not self._flows:
            return ()
        with self._lock:
            if time.monotonic() - self._at < self._kept:
                return self._known
            if self._reading is None:
                self._reading = Thread(target=self._read, daemon=True)
                self._reading.start()
            reading = self._reading
        reading.join(wait)
        return self._known

    def _read(self) -> None:
        found = self._known
        try:
            found = tuple(one for tell in self._tell for one in tell(self._runtime, self._flows))
        except (PipelineError, RedisError, OSError) as error:
            log.warning("the cover of forecasts was not read", error=str(error))
        except Exception:
            log.exception("the cover of forecasts was not read")
        with self._lock:
            self._known, self._at, self._reading = found, time.monotonic(), None


def by_flow(covers: Iterable[Covered]) -> Mapping[tuple[str, str], Sequence[Covered]]:
    """Return (version, flow) -> its covers."""
    found: dict[tuple[str, str], list[Covered]] = {}
    for one in covers:
        found.setdefault((one.version, one.flow), []).append(one)
    return found


_covers: dict[tuple[int, Settings, tuple[Flow, ...]], Covers] = {}


def process_covers(runtime: Runtime, flows: Iterable[Flow]) -> Covers:
    """Return this process' covers of some flows: the pages, the metrics and the alerts read them once."""
    key = (os.getpid(), runtime.settings, tuple(flows))
    if key not in _covers:
        _covers[key] = Covers(runtime, key[2])
    return _covers[key]
