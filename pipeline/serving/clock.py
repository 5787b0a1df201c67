"""Redis' clock, as a process knows it between two looks at it."""

from __future__ import annotations

import time


class Clock:
    """Tells Redis' time in ms from this process' own clock."""

    def __init__(self) -> None:
        self._offset = time.time() * 1000 - time.monotonic() * 1000

    def seen(self, now_ms: int, asked: float) -> None:
        """Note that Redis said that it is `now_ms`, when it was asked at `asked` (monotonic s)."""
        self._offset = now_ms - (asked + time.monotonic()) / 2 * 1000

    def now(self) -> int:
        """Give Redis' time, in ms."""
        return round(time.monotonic() * 1000 + self._offset)
