"""What the measurements share: a Redis, waves of their own hours, rounds within a time, memory."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psutil
from redis import Redis

from pipeline import Flow, State
from pipeline.app import app, celery_settings
from pipeline.settings import Settings
from pipeline.store import series
from pipeline.waves.runtime import Runtime
from pipeline.waves.submit import submit_wave
from pipeline.waves.wave import Wave

VERSION = "benchmark"
PATIENCE = 120.0  # seconds until a wave must have ended


@dataclass(frozen=True, slots=True)
class Timing:
    """How long a wave took, in seconds."""

    total: float  # from before submit_wave until wait() came back
    submit: float  # of that, submit_wave itself
    redis: float  # from its first record to its end, by Redis' clock


@dataclass(frozen=True, slots=True)
class Places:
    """The databases of one Redis that the benchmark uses, so that pipes can be dropped at once."""

    control: str  # broker, waves and states
    pipes: str
    rivals: str  # the pipes of both rivals

    @classmethod
    def beside(cls, url: str) -> Places:
        """Take the database that the URL names and the two after it."""
        parts = urlsplit(url)
        first = int(parts.path.strip("/") or 0)
        return cls(*(urlunsplit(parts._replace(path=f"/{first + i}")) for i in range(3)))

    def each(self) -> Iterator[Redis]:
        """Give a client of each."""
        for url in (self.control, self.pipes, self.rivals):
            with Redis.from_url(url) as client:
                yield client


@dataclass
class Lab:
    """A Redis and what submits waves to it."""

    places: Places
    hours: Iterator[datetime] = field(default_factory=lambda: new_hours())

    def __post_init__(self) -> None:
        settings = Settings(redis_url=self.places.control, store_url=self.places.pipes, version=VERSION)
        app.conf.update(celery_settings(settings))
        self.runtime = Runtime(settings)

    def register(self, size: int) -> None:
        """Make a state of that many entities."""
        self.runtime.states.bind(state_of(size)).update({name: {} for name in names(size)})

    def submit(self, flow: Flow, size: int) -> Wave:
        """Submit a wave of an hour that had none, so that all its pipes are new."""
        return submit_wave(flow, date=next(self.hours), state=state_of(size), runtime=self.runtime)

    def wave(self, flow: Flow, size: int) -> Timing:
        """Run a wave to its end. Raises AssertionError unless everything in it is finished."""
        start = time.perf_counter()
        wave = self.submit(flow, size)
        sent = time.perf_counter()
        wave.wait(PATIENCE)
        end = time.perf_counter()
        progress, info = wave.progress(), wave.info()
        assert progress.count("finished") == progress.total == size * len(flow.tasks), progress
        assert info.ended is not None
        return Timing(end - start, sent - start, info.ended - info.submitted)

    def tidy(self) -> None:
        """Drop all pipes, ours and the rivals', so that a later round does not meet a fuller Redis."""
        for url in (self.places.pipes, self.places.rivals):
            with Redis.from_url(url) as client:
                client.flushdb()


def names(size: int) -> list[str]:
    """Give that many entity keys."""
    return [f"shop-{i:06d}" for i in range(size)]


def state_of(size: int) -> State:
    """Give the state of that many entities."""
    return State(f"shops-{size}")


def new_hours() -> Iterator[datetime]:
    """Give hours of this period of the series, each once, from its first.

    Series begin with their period: later hours would measure how Redis makes room for a series that is new in the
    middle of its period.
    """
    now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    first = now - timedelta(hours=series.spans(now, 1)[0].first)
    return (first + timedelta(hours=i) for i in range(series.PERIOD))


def slot(date: datetime) -> int:
    """Give the slot of an hour in its series."""
    return series.spans(date, 1)[0].first


@dataclass(frozen=True, slots=True)
class Clock:
    """The time that the rounds of all sections may take together; a slow machine runs fewer of them."""

    ends: float  # by time.perf_counter()

    @classmethod
    def of(cls, seconds: float) -> Clock:
        """Start it now."""
        return cls(time.perf_counter() + seconds)

    def left(self) -> float:
        """Give the seconds that are left, 0 when none are."""
        return max(self.ends - time.perf_counter(), 0.0)


def rounds(seconds: float, least: int, most: int) -> Iterator[int]:
    """Count rounds: at least so many, and more of them while the seconds last."""
    start, longest = time.perf_counter(), 0.0
    for number in range(most):
        began = time.perf_counter()
        if number >= least and began - start + longest > seconds:
            return
        yield number
        longest = max(longest, time.perf_counter() - began)


def peak_mb(pid: int) -> float:
    """Give the most memory (resident) that a process and any one of those below it has had, in MB."""
    found = []
    for process in [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]:
        try:
            found.append(_peak(process))
        except (psutil.NoSuchProcess, FileNotFoundError):
            continue
    return max(found, default=0.0)


def own_peak_mb() -> float:
    """Give the same for this process alone."""
    return _peak(psutil.Process(os.getpid()))


def _peak(process: psutil.Process) -> float:
    status = Path(f"/proc/{process.pid}/status")
    if not status.exists():  # not on Linux: what it has now
        return process.memory_info().rss / 1e6
    lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
    return int(lines["VmHWM"].split()[0]) * 1024 / 1e6 if "VmHWM" in lines else 0.0
