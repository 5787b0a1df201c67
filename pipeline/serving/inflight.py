"""What a producer has sent and nobody has answered yet, and which of it is lost. Pure.

A message goes through three hands: the queue, where it is safe; a worker, which says at once that it took it; and
between them a moment in which it is known to nobody. So a message is lost when the worker that took it is dead, or
when it has left the queue a while ago and nobody said that he took it. That it left the queue is known when the queue
was empty after it was sent, or when a message that was sent later was taken.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

UNTAKEN = 1.0  # seconds after it left the queue in which a worker must have said that it took it


@dataclass(slots=True)
class Sent:
    """One message."""

    id: str
    at: float  # when it was sent, s
    requests: dict[str, Any]  # id -> request, of those that are not answered
    worker: str | None = None  # that took it
    left_by: float | None = None  # when it had left the queue at the latest, s


@dataclass
class InFlight:
    """All messages of one producer to one model, in the order in which they were sent."""

    sent: dict[str, Sent] = field(default_factory=dict)
    untaken: int = 0  # messages of which no worker has said that it took them
    _of: dict[str, str] = field(default_factory=dict)  # request -> message

    def add(self, message: str, requests: dict[str, Any], now: float) -> None:
        """Note that a message was sent."""
        self.sent[message] = Sent(message, now, requests)
        self.untaken += 1
        for request in requests:
            self._of[request] = message

    def took(self, message: str, worker: str, now: float) -> None:
        """Note that a worker has it; what was sent before it has left the queue too."""
        found = self.sent.get(message)
        if found is None:
            return
        self.untaken -= found.worker is None
        found.worker = worker
        for earlier in self.sent.values():
            if earlier is found:
                break
            if earlier.worker is None and earlier.left_by is None:
                earlier.left_by = now

    def done(self, request: str) -> bool:
        """Note that a request is answered or given up; False where it was not waited for."""
        message = self._of.pop(request, None)
        if message is None:
            return False
        found = self.sent[message]
        del found.requests[request]
        if not found.requests:
            self._drop(found)
        return True

    def empty_queue(self, began: float) -> None:
        """Note that the queue was empty at a look that began then."""
        for found in self.sent.values():
            if found.worker is None and found.left_by is None and found.at < began:
                found.left_by = began

    def lost(self, alive: Collection[str], now: float) -> list[Any]:
        """Take out the requests of messages that are lost, given the workers that are alive."""
        gone = [found for found in self.sent.values() if self._is_lost(found, alive, now)]
        requests = []
        for found in gone:
            self._drop(found)
            for name, request in found.requests.items():
                del self._of[name]
                requests.append(request)
        return requests

    def _drop(self, found: Sent) -> None:
        del self.sent[found.id]
        self.untaken -= found.worker is None

    @staticmethod
    def _is_lost(found: Sent, alive: Collection[str], now: float) -> bool:
        if found.worker is not None:
            return found.worker not in alive
        return found.left_by is not None and now - found.left_by > UNTAKEN
