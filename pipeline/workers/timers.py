"""Timers of runs that have ended, which a worker's event loop would keep until their time limits.

Celery sets a timer for each message with a time limit and cancels it when the run has ended. Cancelled entries stay
in the loop's heap until they would have been due: a worker that runs a hundred messages a second under a limit of
half an hour keeps 180,000 of them, some 100 MB.
"""

from __future__ import annotations

import heapq
from typing import Any

EVERY = 10.0  # seconds between two looks
FEW = 100  # entries that are not worth a look


def tidy_timers(hub: Any) -> None:
    """Let an event loop (kombu's; a pool of threads has none) drop its cancelled entries every few seconds."""
    if hub is not None:
        hub.call_repeatedly(EVERY, drop_cancelled, hub.timer)


def drop_cancelled(timer: Any) -> int:
    """Drop the cancelled entries of kombu's timer, in place; returns how many. To be called in its own loop."""
    heap = timer._queue
    before = len(heap)
    if before < FEW:
        return 0
    heap[:] = [event for event in heap if not event.entry.canceled]
    heapq.heapify(heap)
    return before - len(heap)
