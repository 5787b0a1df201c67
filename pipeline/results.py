"""The result backend: Celery's Redis backend, cut down to what chords need.

Nobody waits for a Celery result here, so that a process that only sends need not subscribe to any: it is quicker,
and it can exit at any moment without complaints of results that are still awaited.
"""

from __future__ import annotations

from typing import Any

from celery.backends.redis import RedisBackend


class ChordBackend(RedisBackend):
    """Counts chords' headers; follows no results."""

    def on_task_call(self, producer: Any, task_id: str) -> None:
        """Subscribe to nothing."""

    def add_pending_result(self, result: Any, weak: bool = False, start_drainer: bool = True) -> Any:
        """Await nothing."""
        return result

    def remove_pending_result(self, result: Any) -> Any:
        """Nothing was awaited."""
        return result
