"""Slots: threads of one worker that call the model, each with what waits at that moment, up to a whole batch.

Threads share the model, and what they wait for (a disk, a service, native code) they wait for at the same time.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from pipeline.serving.wire import Asked

WEIGHT = 0.05  # of a new measure in the moving averages


@dataclass(slots=True, eq=False)
class Work:
    """One request on this worker; its instances may be in several calls."""

    asked: Asked
    producer: str
    parts: int = 1  # that are not done
    predictions: list[Any] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Part:
    """Instances of one request that go into the same call."""

    work: Work
    start: int
    instances: Sequence[Any]
    taken: Callable[[], None] | None = None  # is called when a slot takes it

    @property
    def route(self) -> tuple[str, bool]:
        """Parts of the same route may share a call."""
        return self.work.asked.version, self.work.asked.pinned


def parts_of(work: Work, size: int) -> list[Part]:
    """Cut a request into parts of `size` instances at most."""
    instances = work.asked.instances
    if len(instances) <= size:
        return [Part(work, 0, instances)]
    found = [Part(work, i, instances[i : i + size]) for i in range(0, len(instances), size)]
    work.parts = len(found)
    work.predictions = [None] * len(instances)
    return found


class Slots:
    """A number of threads, started as they are needed.

    call    runs some parts of the same route; it must not raise
    batch   gives how many instances one call may have now
    """

    def __init__(self, count: int, call: Callable[[list[Part]], None], batch: Callable[[], int]) -> None:
        self.count = count
        self._call, self._batch = call, batch
        self._waiting: deque[Part] = deque()
        self._changed = threading.Condition(threading.Lock())
        self._threads = 0
        self._idle = 0
        self._ends = False
        self.seconds: float | None = None  # that a call takes, of late
        self.per_call = 1.0  # instances that it takes, of late

    @property
    def busy(self) -> int:
        """Slots that call the model now."""
        return self._threads - self._idle

    @property
    def waiting(self) -> int:
        """Parts that no slot has taken yet."""
        return len(self._waiting)

    def put(self, parts: Sequence[Part]) -> None:
        """Let slots run some parts."""
        with self._changed:
            self._waiting.extend(parts)
            self._changed.notify(min(len(parts), self._idle))
            missing = min(len(self._waiting) - self._idle, self.count - self._threads)
            for _ in range(missing):
                self._threads += 1
                threading.Thread(target=self._run, name="slot", daemon=True).start()

    def drop_waiting(self) -> None:
        """Forget what no slot has taken yet."""
        with self._changed:
            self._waiting.clear()

    def drain(self, seconds: float) -> bool:
        """Wait until nothing waits or runs; False when that takes longer."""
        limit = time.monotonic() + seconds
        while self._waiting or self.busy:
            if time.monotonic() > limit:
                return False
            time.sleep(0.01)
        return True

    def close(self) -> None:
        """Let idle threads end."""
        with self._changed:
            self._ends = True
            self._changed.notify_all()

    def _run(self) -> None:
        while group := self._take():
            began = time.monotonic()
            self._call(group)
            self._measure(time.monotonic() - began, sum(len(part.instances) for part in group))

    def _take(self) -> list[Part]:
        with self._changed:
            self._idle += 1
            while not self._waiting and not self._ends:
                self._changed.wait()
            self._idle -= 1
            if not self._waiting:
                self._threads -= 1
                return []
            group = [self._waiting.popleft()]
            size, most = len(group[0].instances), self._batch()
            while self._waiting and self._waiting[0].route == group[0].route:
                size += len(self._waiting[0].instances)
                if size > most:
                    break
                group.append(self._waiting.popleft())
        for part in group:
            if part.taken is not None:
                part.taken()
        return group

    def _measure(self, seconds: float, instances: int) -> None:
        if self.seconds is None:
            self.seconds, self.per_call = seconds, float(instances)
        self.seconds += WEIGHT * (seconds - self.seconds)
        self.per_call += WEIGHT * (instances - self.per_call)
