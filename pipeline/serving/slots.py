"""Slots: threads of one worker that call the model, each with what waits at that moment, up to a whole batch.

Threads share the model, and what they wait for (a disk, a service, native code) they wait for at the same time. What
a model computes in Python itself, threads do one after the other: such a model wants more workers, not more slots.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from queue import SimpleQueue
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


def groups_of(parts: Sequence[Part], size: int) -> int:
    """Count the calls that parts make, in their order, with `size` instances in a call at most."""
    groups, room, route = 0, 0, None
    for part in parts:
        room -= len(part.instances)
        if room < 0 or part.route != route:
            groups, room, route = groups + 1, size - len(part.instances), part.route
    return groups


class Slots:
    """A number of threads, started as they are needed.

    call    runs some parts of the same route; it must not raise
    batch   gives how many instances one call may have now
    """

    def __init__(self, count: int, call: Callable[[list[Part]], None], batch: Callable[[], int]) -> None:
        self.count = count
        self._call, self._batch = call, batch
        self._lock = threading.Lock()
        self._waiting: deque[Part] = deque()
        # While parts wait there is a ticket at least; who gets it takes a group of them, if there is one still.
        self._tickets: SimpleQueue[None] = SimpleQueue()
        self._issued = 0  # tickets that nobody has
        self._threads = 0
        self._ends = False
        self.busy = 0  # slots that call the model now
        self.seconds: float | None = None  # that a call takes, of late
        self.per_call = 1.0  # instances that it takes, of late

    @property
    def waiting(self) -> int:
        """Parts that no slot has taken yet."""
        return len(self._waiting)

    def put(self, parts: Sequence[Part], taken: Callable[[], None]) -> None:
        """Let slots run some parts; `taken` is called once slots have taken all of them, from any thread.

        Where as many slots are free that no part waits, that is at once.
        """
        with self._lock:
            groups = groups_of(parts, self._batch())
            at_once = not self._waiting and groups <= self.count - self.busy
            if not at_once:
                count = _Countdown(len(parts), taken)
                for part in parts:
                    part.taken = count
            self._waiting.extend(parts)
            self._issue(groups)
            idle = self._threads - self.busy
            for _ in range(min(self._issued - idle, self.count - self._threads)):
                self._threads += 1
                threading.Thread(target=self._run, name="slot", daemon=True).start()
        if at_once:
            taken()

    def drop_waiting(self) -> None:
        """Forget what no slot has taken yet."""
        with self._lock:
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
        with self._lock:
            self._ends = True
            self._issue(self._threads)

    def _issue(self, tickets: int) -> None:
        self._issued += tickets
        for _ in range(tickets):
            self._tickets.put(None)

    def _run(self) -> None:
        while not self._ends:
            self._tickets.get()
            group = self._take()
            if group:
                began = time.monotonic()
                self._call(group)
                self._measure(time.monotonic() - began, sum(len(part.instances) for part in group))

    def _take(self) -> list[Part]:
        with self._lock:
            self._issued -= 1
            if not self._waiting:
                return []
            group = [self._waiting.popleft()]
            size, most = len(group[0].instances), self._batch()
            while self._waiting and self._waiting[0].route == group[0].route:
                size += len(self._waiting[0].instances)
                if size > most:
                    break
                group.append(self._waiting.popleft())
            if self._waiting and not self._issued:
                self._issue(1)
            self.busy += 1
        for part in group:
            if part.taken is not None:
                part.taken()
        return group

    def _measure(self, seconds: float, instances: int) -> None:
        with self._lock:
            self.busy -= 1
            if self.seconds is None:
                self.seconds, self.per_call = seconds, float(instances)
            self.seconds += WEIGHT * (seconds - self.seconds)
            self.per_call += WEIGHT * (instances - self.per_call)


class _Countdown:
    """Calls something when it was called so many times, from any threads."""

    def __init__(self, count: int, do: Callable[[], None]) -> None:
        self._left: deque[None] = deque([None] * count)
        self._do = do

    def __call__(self) -> None:
        self._left.pop()
        if not self._left:
            self._do()
