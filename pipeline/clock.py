"""One clock: Redis'. It decides whatever the time of day decides: a machine whose own clock is wrong changes nothing.

A process asks for it now and then; in between it counts on with its monotonic clock, which nobody sets.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime

from redis.exceptions import RedisError

from pipeline.flows.pipe import floor

KEPT = 10.0  # seconds until Redis is asked for the time again
NEVER = float("-inf")
SKEW = 5.0  # seconds that a machine's own clock may differ from Redis' before it is named

Ask = Callable[[], tuple[int, int]]  # Redis' TIME: seconds since 1970, and microseconds


class HeardClock:
    """Redis' time, as a process knows it between two times that it heard it. Until it has, its own."""

    def __init__(self) -> None:
        self._offset = time.time() - time.monotonic()

    def heard(self, seconds: float, asked: float) -> None:
        """Note that Redis said that it is `seconds`, when it was asked at `asked` (monotonic s)."""
        self._offset = seconds - (asked + time.monotonic()) / 2

    def time(self) -> float:
        """Return Redis' time in seconds since 1970."""
        return time.monotonic() + self._offset

    def now(self) -> datetime:
        """Return Redis' time (UTC)."""
        return datetime.fromtimestamp(self.time(), UTC)

    def hour(self) -> datetime:
        """Return the present hour (UTC), by Redis' time: the date of a wave that begins now."""
        return floor(self.now())


class RedisClock(HeardClock):
    """Redis' time, asked for where what was heard is old; counted on from that as long as Redis does not answer."""

    def __init__(self, ask: Ask, kept: float = KEPT) -> None:
        """Take how to ask Redis, and for how many seconds an answer is counted on from."""
        super().__init__()
        self._ask, self._kept, self._at = ask, kept, NEVER

    def time(self) -> float:
        """Return Redis' time in seconds since 1970. Raises what `ask` raises if it was never heard."""
        if time.monotonic() - self._at >= self._kept:
            try:
                self.look()
            except (RedisError, OSError):
                if self._at == NEVER:
                    raise
                self._at = time.monotonic()
        return super().time()

    def look(self) -> datetime:
        """Ask now: for what is due or is not, because who asks later is told a later time. Raises what `ask` raises."""
        asked = time.monotonic()
        whole, micros = self._ask()
        self.heard(whole + micros / 1e6, asked)
        self._at = asked
        return datetime.fromtimestamp(whole + micros / 1e6, UTC)


def skew(ask: Ask) -> float:
    """Return the seconds that this machine's clock is ahead of Redis', as far as the time of an answer proves it."""
    asked, before = time.monotonic(), time.time()
    whole, micros = ask()
    half = (time.monotonic() - asked) / 2
    found = before + half - (whole + micros / 1e6)
    return max(found - half, 0.0) if found > 0 else min(found + half, 0.0)
