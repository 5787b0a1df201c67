"""The versions of a model that one worker holds: loaded once, shared by all slots, released when unused.

A new version is loaded while the old one answers. Then the worker changes over at once, and the old one is released
when its last call is over; the next one is not loaded before, so that there are never more models in memory than the
catalogue needs, and one.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from pipeline.serving.catalogue import Entry, Source
from pipeline.serving.errors import ModelFault
from pipeline.serving.models import Model
from pipeline.telemetry.logs import get_logger

READY, LOADING = "ready", "loading"

log = get_logger("pipeline.serving")


class NotHeld(LookupError):
    """A version that this worker does not hold."""


class Loaded:
    """One version in memory."""

    def __init__(self, version: str, model: Model) -> None:
        self.version, self.model = version, model
        self.users = 0


class Held:
    """All that this worker holds of one model."""

    def __init__(self, loader: Callable[[Source], Model]) -> None:
        self._load = loader
        self._lock = threading.Condition()
        self._loaded: dict[str, Loaded] = {}
        self._live: str | None = None  # what answers a request for the live version
        self._wanted: Entry | None = None
        self._faults: dict[str, str] = {}
        self._loading: str | None = None
        self._thread: threading.Thread | None = None

    def states(self) -> dict[str, str]:
        """Return for each version "ready", "loading" or why it cannot be loaded."""
        with self._lock:
            found = dict(self._faults) | dict.fromkeys(self._loaded, READY)
            return found | ({self._loading: LOADING} if self._loading else {})

    def want(self, entry: Entry) -> None:
        """Come to hold what the catalogue says, in a thread; nothing waits for it."""
        with self._lock:
            self._wanted = entry
            if self._thread is None and self._step_is_due():
                self._thread = threading.Thread(target=self._work, name="loader", daemon=True)
                self._thread.start()

    def settle(self, entry: Entry) -> None:
        """Come to hold it, and wait for that. Raises ModelFault when the live version cannot be loaded."""
        self.want(entry)
        with self._lock:
            self._lock.wait_for(lambda: self._thread is None)
            if entry.live is not None and entry.live not in self._loaded:
                raise ModelFault(self._faults.get(entry.live, f"{entry.name} {entry.live} was not loaded."))

    @contextmanager
    def use(self, version: str, pinned: bool) -> Iterator[Loaded]:
        """Yield a version ("" for the live one) that is not released meanwhile. Raises NotHeld.

        A version that a split chose, and that is not here any more, is answered for by the live one.
        """
        with self._lock:
            found = self._loaded.get(version)
            if found is None and not pinned:
                found = self._loaded.get(self._live or "")
            if found is None:
                raise NotHeld(version)
            found.users += 1
        try:
            yield found
        finally:
            with self._lock:
                found.users -= 1
                if not found.users:
                    self._lock.notify_all()

    def _needed(self) -> list[str]:
        entry = self._wanted
        return [] if entry is None else [v for v in entry.needed if v in entry.versions]

    def _missing(self) -> list[str]:
        return [v for v in self._needed() if v not in self._loaded and v not in self._faults]

    def _spare(self) -> list[Loaded]:
        keep = {*self._needed(), self._live}
        return [found for name, found in self._loaded.items() if name not in keep]

    def _step_is_due(self) -> bool:
        return bool(self._missing() or self._spare()) or self._live != self._next_live()

    def _next_live(self) -> str | None:
        """Return the version that answers from now on: the catalogue's, as soon as it is loaded."""
        wanted = self._wanted.live if self._wanted else None
        return wanted if wanted in self._loaded or wanted is None else self._live

    def _work(self) -> None:
        while True:
            with self._lock:
                self._faults = {v: text for v, text in self._faults.items() if v in self._needed()}
                self._live = self._next_live()
                self._release()
                missing = self._missing()
                if not missing:
                    self._thread = None
                    self._lock.notify_all()
                    return
                version, entry = missing[0], self._wanted
                assert entry is not None
                self._loading = version
            self._bring(entry, version)

    def _release(self) -> None:
        """Drop what is needed no more, once the last call that uses it is over."""
        spare = self._spare()
        if not spare:
            return
        for found in spare:
            self._loaded.pop(found.version)
        self._lock.wait_for(lambda: not any(found.users for found in spare))
        for found in spare:
            found.model = None  # type: ignore[assignment]
            log.info("released", version=found.version)
        gc.collect()

    def _bring(self, entry: Entry, version: str) -> None:
        model: Any = None
        try:
            model, text = self._load(entry.versions[version]), ""
        except Exception as error:
            text = str(error) or type(error).__name__
            log.warning("a version cannot be loaded", model=entry.name, version=version, error=text)
        with self._lock:
            self._loading = None
            if text:
                self._faults[version] = text
            else:
                self._loaded[version] = Loaded(version, model)
