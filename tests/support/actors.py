"""Actors: pieces of real code that a test runs in any interleaving, and ends at any of their calls.

An actor is a thread that stops before each call to Redis (and each message sent, each pipe put) and waits until the
test lets it go on. Only one runs at a time, so that a run is as deterministic as a single thread.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextvars import ContextVar, copy_context
from typing import Any

from redis import Redis
from redis.client import Pipeline
from redis.exceptions import ConnectionError as RedisConnectionError

_current: ContextVar[Actor | None] = ContextVar("actor", default=None)
PATIENCE = 30.0  # real seconds in which an actor must reach its next call


class Killed(BaseException):
    """Ends an actor, as a signal ends a process: nothing that it still wanted to do is done."""


class Actor:
    """Some code that is run one call at a time. `unit` is what it runs, if that is one; `owner` for whom."""

    def __init__(self, do: Callable[[], Any], owner: str = "", unit: Any = None) -> None:
        self.owner, self.unit = owner, unit
        self.killed = self.ended = False
        self.error: BaseException | None = None
        self.fault: str | None = None  # what its next call meets: "repeated" or "cut"
        self._go, self._stopped = threading.Semaphore(0), threading.Semaphore(0)
        self._thread = threading.Thread(target=copy_context().run, args=(self._main, do), daemon=True)
        self._thread.start()

    def _main(self, do: Callable[[], Any]) -> None:
        _current.set(self)
        self._go.acquire()
        try:
            if not self.killed:
                do()
        except Killed:
            pass
        except BaseException as error:
            self.error = error
        self.ended = True
        self._stopped.release()

    def step(self, calls: int = 1) -> None:
        """Let it go on, so many calls. Raises what it raised."""
        for _ in range(calls):
            if self.ended:
                break
            self._go.release()
            assert self._stopped.acquire(timeout=PATIENCE), "the actor hangs outside of Redis"
        if self.error is not None:
            raise self.error

    def finish(self, limit: int = 2000) -> None:
        """Let it go on to its end."""
        self.step(limit)
        assert self.ended, "the actor does not come to an end"

    def kill(self) -> None:
        """End it before its next call."""
        self.killed = True
        self.finish()

    def call(self, do: Callable[[], Any]) -> Any:
        """Make a call for it, when the test says so, as its fault wants it."""
        if not self.killed:
            self._stopped.release()
            self._go.acquire()
        if self.killed:
            raise Killed
        fault, self.fault = self.fault, None
        answer = do()
        if fault == "repeated":  # the connection was cut before the answer came, and the client tried again
            answer = do()
        if fault == "cut":  # the same, and the client gave up
            raise RedisConnectionError("cut by the test")
        return answer


def stepped(do: Callable[[], Any]) -> Any:
    """Make a call: at once outside of actors, else when the test lets the actor go on."""
    actor = _current.get()
    return do() if actor is None else actor.call(do)


def die() -> None:
    """End the actor that is in this code, as if its process had died here."""
    actor = _current.get()
    if actor is not None:
        actor.killed = True
    raise Killed


class SteppedRedis(Redis):
    """A client whose every call is a step of the actor that makes it."""

    def execute_command(self, *args: Any, **options: Any) -> Any:
        return stepped(lambda: super(SteppedRedis, self).execute_command(*args, **options))

    def pipeline(self, transaction: bool = True, shard_hint: Any = None) -> SteppedPipeline:
        return SteppedPipeline(self.connection_pool, self.response_callbacks, transaction, shard_hint)


class SteppedPipeline(Pipeline):
    """A pipeline that is one step."""

    def execute(self, raise_on_error: bool = True) -> list[Any]:
        commands = list(self.command_stack)

        def do() -> list[Any]:
            self.command_stack = list(commands)
            return super(SteppedPipeline, self).execute(raise_on_error)

        return stepped(do)
