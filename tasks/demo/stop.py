"""Stopping at any moment: Ctrl-C and SIGTERM."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)

Check = Callable[[], None]


@contextmanager
def stoppable() -> Iterator[Check]:
    """Let both signals raise KeyboardInterrupt while the block runs.

    Returns a function that raises it once more, to be called now and then: one that strikes while Python runs a
    destructor is swallowed.
    """
    asked = False

    def strike(*_: Any) -> None:
        nonlocal asked
        asked = True
        raise KeyboardInterrupt

    def check() -> None:
        if asked:
            raise KeyboardInterrupt

    before = {number: signal.signal(number, strike) for number in SIGNALS}
    try:
        yield check
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
