"""A process beside a worker that runs tasks in its own process (in threads, or solo), for code that holds the GIL.

Such code stops all of its process: the clock of its time limit, its neighbours and the keeper, which renews leases.
This process shares no GIL with it. While the worker stands still, it renews the leases of what runs there, so that
long code within its limit lives. When the worker stands still past the earliest time limit of its runs, it tells the
gate, which lets each of them run alone, and ends the worker. Whoever supervises the worker starts another.
"""

from __future__ import annotations

import json
import os
import select
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Self

from pipeline.gate.units import Unit
from pipeline.messaging.canvas import HARD_LIMIT

TICK = 0.5  # seconds between two signs of life
SILENT = 1.5  # seconds without one after which a worker is taken to stand still
FROZEN = 3.0  # seconds without one after which it may be ended

Runs = Sequence["Run"]


@dataclass(frozen=True, slots=True)
class Run:
    """One run in the worker's process."""

    wave_id: str
    unit: Unit
    alone: bool
    until: float  # when its time limit is over and the worker is to have said so; of the monotonic clock


@dataclass
class Heard:
    """What a worker has told: what it runs, and that it lives."""

    at: float  # when it was last heard, of the monotonic clock
    runs: dict[int, Run] = field(default_factory=dict)
    _rest: bytes = b""

    def hear(self, data: bytes, now: float) -> None:
        """Take what came from it: a line that begins or ends a run, an empty one to say that it lives."""
        self.at = now
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in filter(None, lines):
            number, *run = json.loads(line)
            if run:
                wave_id, task, where, alone, until = run
                self.runs[number] = Run(wave_id, Unit(task, where), alone, until)
            else:
                self.runs.pop(number, None)

    def silent(self, now: float) -> bool:
        """Return whether it stands still."""
        return now - self.at >= SILENT

    def frozen(self, now: float) -> bool:
        """Return whether it has stood still past the time limit of one of its runs."""
        return now - self.at >= FROZEN and any(now >= run.until for run in self.runs.values())


class Watchdog:
    """The worker's side of it."""

    def __init__(self, pipe: int) -> None:
        self._pipe = pipe
        self._numbers = count()

    @classmethod
    def start(cls, renew: Callable[[Runs], None], end: Callable[[Runs], None], every: float) -> Self:
        """Fork the process, and begin to say that this one lives.

        renew  is called there every so many seconds while this process stands still
        end    is called there before this process is killed
        """
        read, write = os.pipe()
        worker = os.getpid()
        if os.fork() == 0:
            try:
                os.close(write)
                _watch(read, worker, renew, end, every)
            finally:
                os._exit(0)
        os.close(read)
        found = cls(write)
        threading.Thread(target=found._tick, name="watchdog", daemon=True).start()
        return found

    @contextmanager
    def __call__(self, wave_id: str, unit: Unit, limit: float, alone: bool) -> Iterator[None]:
        """Watch a run for as long as the block lasts."""
        number = next(self._numbers)
        self._say(number, wave_id, unit.task, unit.where, alone, time.monotonic() + limit + HARD_LIMIT)
        try:
            yield
        finally:
            self._say(number)

    def _tick(self) -> None:
        while True:
            self._say()
            time.sleep(TICK)

    def _say(self, *words: Any) -> None:
        with suppress(OSError):  # somebody has killed it: the worker goes on without
            os.write(self._pipe, (json.dumps(words) if words else "").encode() + b"\n")


def _watch(
    pipe: int, worker: int, renew: Callable[[Runs], None], end: Callable[[Runs], None], every: float
) -> None:
    """Listen until the worker is gone, or must go."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # they are for the worker, with which this process ends
    heard, renewed = Heard(time.monotonic()), 0.0
    while os.getppid() == worker:
        if select.select([pipe], [], [], TICK)[0]:
            if not (data := os.read(pipe, 65536)):
                return
            heard.hear(data, time.monotonic())
        now, runs = time.monotonic(), list(heard.runs.values())
        with suppress(Exception):  # Redis does not answer: leases will end, and the worker must, too
            if heard.frozen(now):
                end(runs)
            elif heard.silent(now) and now - renewed >= every:
                renewed = now
                renew(runs)
        if heard.frozen(now) and os.getppid() == worker:
            os.kill(worker, signal.SIGKILL)
            return
