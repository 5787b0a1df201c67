"""One model's lane of a producer: requests that arrive within a few milliseconds leave as one message.

The first one leaves at once. What arrives within `pace` seconds after it waits for the next message, so that a quiet
model answers without delay and a busy one gets few messages, however many requests there are. A message costs a worker
some of a millisecond; so where a call takes long anyway, the pace is a fiftieth of it, and while workers have not taken
what was sent, the next message waits too: those that have much to do get larger messages, not more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from pipeline.serving.inflight import InFlight
from pipeline.serving.names import Place
from pipeline.serving.wire import Asked

MOST = 64  # requests in one message at most
BYTES = 1_000_000  # of their bodies, in one message, where there is more than one
SHARE = 0.02  # of the time of a call that a request may wait for others to travel with
SLOWEST = 0.025  # seconds between two messages at most, while there are requests


@dataclass(slots=True, eq=False)
class Waiting:
    """One request that waits for its answer."""

    asked: Asked
    place: Place
    answer: asyncio.Future[Any]
    since: float  # s, by the loop's clock
    shadow_of: str | None = None  # the request of which it is a copy
    size: int = 0  # bytes of its body
    losses: int = 0  # workers that died with it
    timer: asyncio.TimerHandle | None = None


@dataclass
class Lane:
    """What one producer does for one model."""

    place: Place
    send: Callable[[Lane, Sequence[Waiting]], None]
    pace: float  # seconds
    pending: dict[str, Waiting] = field(default_factory=dict)  # in the order in which they came
    inflight: InFlight = field(default_factory=InFlight)
    waiting: int = 0  # instances that nobody has answered yet
    refused: int = 0  # instances that were refused for want of a worker, and that nobody was told of yet
    cancelled: list[str] = field(default_factory=list)  # that workers are to be told of
    most: int = MOST  # requests in one message
    least_pace: float = 0.0
    ahead: int = 1  # messages that may be sent before a worker has taken the first of them
    _due: asyncio.TimerHandle | None = None
    _held: bool = False  # until workers have taken what was sent
    _last: float = 0.0

    def put(self, request: Waiting) -> None:
        """Let a request leave with the next message."""
        self.pending[request.asked.id] = request
        if self._due is None:
            loop = asyncio.get_running_loop()
            self._due = loop.call_at(max(self._last + self.pace, loop.time()), self._go)

    def tune(self, seconds: float | None, most: int, ahead: int) -> None:
        """Follow what is known of the workers: the seconds of a call, and what `most` and `ahead` are to be."""
        self.most, self.ahead = most, ahead
        self.pace = max(self.least_pace, min((seconds or 0.0) * SHARE, SLOWEST))

    def drop(self, request: str) -> bool:
        """Take back a request; False when it has left already."""
        return self.pending.pop(request, None) is not None

    def taken(self) -> None:
        """Note that workers have taken messages: `inflight` tells which they have not."""
        if self._held and self._due is not None and self.inflight.untaken < self.ahead:
            self._due.cancel()
            self._go()

    def _go(self) -> None:
        loop = asyncio.get_running_loop()
        latest = self._last + SLOWEST
        self._held = not self._held and self.inflight.untaken >= self.ahead and loop.time() < latest
        if self._held:
            self._due = loop.call_at(latest, self._go)
            return
        self._due, self._last = None, loop.time()
        while self.pending:
            self.send(self, self._some())

    def _some(self) -> list[Waiting]:
        """Take out what fits into one message."""
        found: list[Waiting] = []
        size = 0
        for request in self.pending.values():
            size += request.size
            if len(found) == self.most or (found and size > BYTES):
                break
            found.append(request)
        for request in found:
            del self.pending[request.asked.id]
        return found
