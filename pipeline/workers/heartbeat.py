"""A sign of life that costs nothing to read: a file that a process touches every few seconds.

A container's health check looks at its age (`python -m pipeline.workers.liveness`); asking the process over the
broker, as `celery inspect ping` does, takes seconds of CPU each time and fails when the broker does, which is no
reason to replace every container.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from pipeline.errors import ProcessError, SettingsError

HEARTBEAT = "PIPELINE_HEARTBEAT"  # the file that a process touches; without it none is
EVERY = 5.0  # seconds between two touches
GONE_AFTER = 60.0  # seconds without one after which a process is taken for dead


class Heartbeat:
    """Touches a file. Raises SettingsError where it cannot be made."""

    def __init__(self, path: Path | str, every: float = EVERY) -> None:
        self.path = Path(path)
        self.every = every
        self._told = -every
        self._stop = threading.Event()
        try:
            self.tell()
        except OSError as error:
            raise SettingsError(
                f"{HEARTBEAT}={path} cannot be written ({error.strerror}). Name a file in a folder that this user "
                "may write to; with a read-only root file system that is a tmpfs or a volume."
            ) from None

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> Self | None:
        """Build the heartbeat that PIPELINE_HEARTBEAT names, None where it names none."""
        path = (os.environ if environ is None else environ).get(HEARTBEAT)
        return cls(path) if path else None

    def tell(self) -> None:
        """Touch the file, unless that was done a moment ago. To be called by a loop whose stand-still is the fault."""
        now = time.monotonic()
        if now - self._told >= self.every:
            self.path.touch()
            self._told = now

    def start(self) -> None:
        """Touch it from a thread, in a process whose main loop may stand still for good reasons."""
        threading.Thread(target=self._loop, name="heartbeat", daemon=True).start()

    def stop(self) -> None:
        """End the thread; the file grows old."""
        self._stop.set()

    def _loop(self) -> None:
        while not self._stop.wait(self.every):
            try:
                self.tell()
            except OSError:  # the health check tells of it
                return


def check_age(path: Path | str, limit: float = GONE_AFTER) -> float:
    """Return the age of a heartbeat in seconds. Raises ProcessError where it is older than `limit`, or missing."""
    try:
        age = time.time() - Path(path).stat().st_mtime
    except OSError as error:
        raise ProcessError(
            f"there is no heartbeat at {path} ({error.strerror}): the process has not started, or {HEARTBEAT} names "
            "another file for it."
        ) from None
    if age > limit:
        raise ProcessError(
            f"the last heartbeat at {path} was {age:.0f} s ago, more than {limit:g} s: it hangs."
        )
    return max(age, 0.0)
