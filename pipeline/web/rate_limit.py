"""How many requests a second one client may make: a token bucket each, in this process."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

KEPT = 10_000  # clients that are remembered; who comes after that begins with a full bucket


class RateLimit:
    """Buckets that hold one second of requests, by the generic cell rate algorithm."""

    def __init__(self, rate: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate, self._clock = rate, clock
        self._until: OrderedDict[str, float] = OrderedDict()  # client -> when its bucket is full again

    def wait(self, client: str) -> float:
        """Count one request; returns 0.0 where it may pass, else the seconds until the next one may."""
        if not self._rate:
            return 0.0
        now = self._clock()
        until = max(self._until.get(client, now), now)
        wait = until - now - max(1.0, 1 / self._rate) + 1 / self._rate
        if wait > 1e-9:
            return wait
        self._until[client] = until + 1 / self._rate
        self._until.move_to_end(client)
        while len(self._until) > KEPT:
            self._until.popitem(last=False)
        return 0.0
