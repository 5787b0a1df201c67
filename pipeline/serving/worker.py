"""What a Celery worker that serves a model runs.

Its one task has a strategy of its own, which is what Celery calls with each message: it gives the batch to the slots
and goes on to the next one. The message is acknowledged when slots have taken all of it, so that what waits for a slot
holds back the next message. A worker that dies takes nothing with it: producers ask again for what it had.
"""

from __future__ import annotations

import gc
import logging
import os
import sys
import threading
import traceback
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

from celery import bootsteps, signals
from celery.worker.consumer import Tasks

from pipeline.allowed import Allowed
from pipeline.connections.sync_clients import WORKER_PATIENCE, connect
from pipeline.errors import PipelineError, SettingsError
from pipeline.serving.app import DEFAULT_SLOTS, MODEL, SLOTS, app, settings
from pipeline.serving.names import Place, check_name
from pipeline.serving.server import Server
from pipeline.serving.wire import TASK, parse
from pipeline.telemetry.logs import get_logger

log = get_logger("pipeline.serving")
_plain = logging.getLogger("pipeline.serving")  # for Celery, which writes in its own way


class Acks:
    """Acknowledges messages in the worker's loop, whichever thread says so: the loop does not wake up by itself."""

    def __init__(self) -> None:
        self._loop = threading.get_ident()  # the process imports this in the thread that runs the loop
        self._ready: deque[Callable[[], None]] = deque()
        self._read, self._write = os.pipe()
        os.set_blocking(self._read, False)
        os.set_blocking(self._write, False)

    def put(self, ack: Callable[[], None]) -> None:
        """Let the loop call it; where this is the loop, at once."""
        if threading.get_ident() == self._loop:
            ack()
            return
        self._ready.append(ack)
        with suppress(BlockingIOError):  # the loop is told already
            os.write(self._write, b"1")

    def watch(self, hub: Any) -> None:
        """Let a loop look after it."""
        hub.add_reader(self._read, self._go)

    def _go(self) -> None:
        with suppress(BlockingIOError):
            os.read(self._read, 4096)
        while self._ready:
            self._ready.popleft()()


acks = Acks()
_servers: list[Server] = []


def server() -> Server:
    """Return this process' server."""
    if not _servers:
        place = Place(settings.own_version(), check_name(os.environ.get(MODEL, ""), "model"))
        client = connect(settings.redis_url, settings.socket_timeout, WORKER_PATIENCE)
        _servers.append(Server(client, place, _slots(), Allowed.from_env()))
    return _servers[0]


def _slots() -> int:
    value = os.environ.get(SLOTS) or str(DEFAULT_SLOTS)
    if not (value.isascii() and value.isdigit() and int(value)):
        raise SettingsError(f"{SLOTS}={value!r} is not a whole number above zero.")
    return int(value)


def strategy(task: Any, app: Any, consumer: Any, **_: Any) -> Callable[..., None]:
    """Return what Celery calls with each message of the task."""

    def take(message: Any, body: Any, ack: Any, reject: Any, callbacks: Any, **_: Any) -> None:
        try:
            batch = parse(message.body)
        except (ValueError, TypeError, LookupError) as error:
            log.warning("dropped a message that is not a batch of requests", error=str(error))
            message.ack_log_error(_plain, consumer.connection_errors)
            return
        server().take(
            batch, lambda: acks.put(partial(message.ack_log_error, _plain, consumer.connection_errors))
        )

    return take


@app.task(name=TASK, Strategy=f"{__name__}:strategy", ignore_result=True)
def serve(*_: Any) -> None:
    """Stand for the task; its strategy does the work."""


class ServeStep(bootsteps.StartStopStep):
    """Looks after acknowledgements in the consumer's loop, and ends before the consumer does."""

    requires = (Tasks,)

    def register_with_event_loop(self, parent: Any, hub: Any) -> None:
        """Watch, after each new connection too."""
        acks.watch(hub)


app.steps["consumer"].add(ServeStep)


@signals.worker_init.connect
def _load(**_: Any) -> None:
    """Load the model before anything is taken from the queue; where that cannot be, say why and end."""
    try:
        server().load()
    except Exception as error:
        text = f"{error}\n" if isinstance(error, PipelineError) else traceback.format_exc()
        sys.stderr.write(f"wave: {text}")
        sys.stderr.flush()
        os._exit(2)


@signals.worker_ready.connect
def _start(**_: Any) -> None:
    gc.collect()
    gc.freeze()  # else each full collection goes through all that was imported, and calls wait for it
    server().start()


@signals.worker_shutdown.connect
def _finish(**_: Any) -> None:
    """Answer what runs, however the worker was told to end."""
    if _servers:
        _servers.pop().finish(settings.drain)
