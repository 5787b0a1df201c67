"""One worker's side of serving a model: takes batches, lets slots call the model, answers. Knows nothing of Celery."""

from __future__ import annotations

import os
import socket
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

from redis import Redis
from redis.exceptions import RedisError

from pipeline.allowed import Allowed
from pipeline.clock import HeardClock
from pipeline.serving.catalogue import Catalogue, Entry, Options, Source
from pipeline.serving.errors import ModelFault
from pipeline.serving.loaded_models import Held, Loaded, NotHeld
from pipeline.serving.models import load, newest, predict
from pipeline.serving.names import Place
from pipeline.serving.replies import Replier
from pipeline.serving.slots import Part, Slots, Work, parts_of
from pipeline.serving.status_board import BEAT, Beats, WorkerState
from pipeline.serving.wire import FAILED, GONE, OK, REFUSED, Answered, Batch, writable
from pipeline.telemetry.logs import get_logger

BAD_INSTANCE = (ValueError, TypeError, LookupError)
FOLLOW = 5.0  # seconds between two looks at another registry
CANCELLED = 10_000  # cancelled requests that are remembered

log = get_logger("pipeline.serving")


class Server:
    """Everything of one worker."""

    def __init__(self, client: Redis, place: Place, slots: int, allowed: Allowed) -> None:
        self.id = uuid.uuid4().hex[:12]
        self._place = place
        self._allowed = allowed
        self._catalogue = Catalogue(client, place.version)
        self._beats = Beats(client, place, self.id)
        self._replier = Replier(client, self.id)
        self._held = Held(partial(load, allowed=allowed))
        self._options = Options()
        self._slots = Slots(slots, self._call, lambda: self._options.batch)
        self._clock = HeardClock()
        self._cancelled: dict[str, None] = {}
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._beating = threading.Thread(target=self._beat, name="beats", daemon=True)
        self._following = threading.Thread(target=self._follow, name="follow", daemon=True)

    # -- its life

    def load(self) -> Entry:
        """Load what the catalogue says. Raises UnknownName, ModelFault."""
        entry = self._catalogue.get(self._place.model)
        self._options = entry.options
        self._held.settle(entry)
        return entry

    def start(self) -> None:
        """Report for duty, from now on."""
        self._replier.start()
        self._tell()
        self._beating.start()
        self._following.start()

    def finish(self, seconds: float) -> None:
        """End: what runs may end within so many seconds; what waits is another worker's."""
        self._slots.drop_waiting()
        if not self._slots.drain(seconds):
            log.warning("ends with calls that still run; another worker answers them", busy=self._slots.busy)
        self._slots.close()
        self._stop.set()
        self._replier.close()
        with suppress(RedisError, OSError):
            self._beats.leave()

    def state(self) -> WorkerState:
        """Describe it."""
        slots = self._slots
        return WorkerState(
            self.id,
            socket.gethostname(),
            os.getpid(),
            slots.count,
            slots.busy,
            slots.per_call,
            slots.seconds,
            self._held.states(),
        )

    def _beat(self) -> None:
        while not self._stop.wait(BEAT):
            try:
                self._tell()
            except (RedisError, OSError) as error:
                log.warning("redis does not answer", error=str(error))
            except Exception:
                log.exception("a sign of life was not given")

    def _follow(self) -> None:
        """Serve what another registry says is live, where the kind of the model knows one."""
        while not self._stop.wait(FOLLOW):
            try:
                entry = self._catalogue.get(self._place.model)
                found = newest(entry.versions[entry.live], self._allowed) if entry.live else None
                if found is not None and found[0] != entry.live:
                    self._catalogue.change(entry.name, partial(_followed, *found))
            except Exception as error:
                log.warning("cannot tell which version is live; going on with this one", error=str(error))

    def _tell(self) -> None:
        asked = time.monotonic()
        now, entry = self._beats.tell(self.state())
        self._clock.heard(now / 1000, asked)
        if entry is None:
            entry = Entry(self._place.model)  # it was removed: nothing is needed
        self._options = entry.options
        self._replier.tune(self._slots.seconds)
        self._held.want(entry)
        for name in self._beats.cancelled():
            self._cancelled[name] = None
        while len(self._cancelled) > CANCELLED:
            del self._cancelled[next(iter(self._cancelled))]

    # -- its work

    def take(self, batch: Batch, taken: Callable[[], None]) -> None:
        """Begin to answer a batch; `taken` is called once slots have taken all of it, from any thread."""
        self._replier.took(batch.producer, batch.id)
        now = self._clock.time() * 1000
        parts = [
            part
            for asked in batch.requests
            if asked.until > now and asked.id not in self._cancelled
            for part in parts_of(Work(asked, batch.producer), self._options.batch)
        ]
        if parts:
            self._slots.put(parts, taken)
        else:
            taken()

    def _call(self, parts: list[Part]) -> None:
        """Answer some parts in one call, or, where that raises, each in one of its own."""
        now = self._clock.time() * 1000
        parts = [p for p in parts if p.work.asked.until > now and p.work.asked.id not in self._cancelled]
        if not parts:
            return
        version, pinned = parts[0].route
        try:
            with self._held.use(version, pinned) as loaded:
                self._predict(loaded, parts)
        except NotHeld:
            text = (
                f"version {version!r} is not served any more."
                if version
                else "the model is not served any more."
            )
            for part in parts:
                self._give(part, GONE, version, text, 0.0)

    def _predict(self, loaded: Loaded, parts: list[Part]) -> None:
        began = time.monotonic()
        try:
            predictions = predict(loaded.model, [one for part in parts for one in part.instances])
            if not writable(predictions):
                raise ModelFault("the model gave predictions that JSON cannot hold.")
        except Exception as error:
            if len(parts) > 1:  # nobody answers for another one's bad instance
                for part in parts:
                    self._predict(loaded, [part])
                return
            status = REFUSED if isinstance(error, BAD_INSTANCE) else FAILED
            if status == FAILED:
                log.exception("the model failed", version=loaded.version)
            self._give(parts[0], status, loaded.version, f"{type(error).__name__}: {error}", 0.0)
            return
        ms, place = (time.monotonic() - began) * 1000, 0
        for part in parts:
            found = predictions[place : place + len(part.instances)]
            place += len(part.instances)
            self._give(part, OK, loaded.version, found, ms)

    def _give(self, part: Part, status: int, version: str, value: Any, ms: float) -> None:
        """Answer a request, once its last part is done or its first one failed."""
        work = part.work
        if work.parts != 1 or work.predictions:
            with self._lock:
                if work.parts <= 0:
                    return
                work.parts = 0 if status != OK else work.parts - 1
                if status == OK:
                    work.predictions[part.start : part.start + len(part.instances)] = value
                if work.parts:
                    return
            value = work.predictions if status == OK else value
        self._replier.answer(work.producer, Answered(work.asked.id, status, version, value, round(ms, 3)))


def _followed(version: str, source: Source, entry: Entry) -> Entry:
    return entry.with_version(version, source).promoted(version)
