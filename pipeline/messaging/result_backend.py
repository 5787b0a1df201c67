"""The result backend: Celery's Redis backend, cut down to what chords need.

Nobody waits for a Celery result here, so that a process that only sends need not subscribe to any: it is quicker,
and it can exit at any moment without complaints of results that are still awaited.
"""

from __future__ import annotations

from typing import Any

from celery.backends.redis import RedisBackend

from pipeline.connections.sync_clients import WORKER_PATIENCE, connect
from pipeline.settings import without_secret


class ChordBackend(RedisBackend):
    """Counts chords' headers; follows no results. It connects as our own clients do."""

    def _params_from_url(self, url: str, defaults: dict[str, Any]) -> dict[str, Any]:
        return {"url": url, "timeout": defaults["socket_timeout"]}

    def _get_pool(self, **params: Any) -> Any:
        return connect(params["url"], params["timeout"], WORKER_PATIENCE).connection_pool

    def as_uri(self, include_password: bool = False) -> str:
        """Return its address, without the password unless that is asked for."""
        return str(self.url) if include_password else without_secret(str(self.url))

    def on_task_call(self, producer: Any, task_id: str) -> None:
        """Subscribe to nothing."""

    def add_pending_result(self, result: Any, weak: bool = False, start_drainer: bool = True) -> Any:
        """Await nothing."""
        return result

    def remove_pending_result(self, result: Any) -> Any:
        """Nothing was awaited."""
        return result
