"""LeftOut: which entities were left out because one of them was not as it has to be, and why. Pure."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping
from threading import Lock

from pipeline.errors import PipelineError

KEPT = 50  # of which the reason is kept; the others are only counted
_LONGEST = 300  # characters of a reason
_KEY = 80  # characters of a key


class LeftOut:
    """Some entities with why each was left out: the others go on without them. Threads may share it."""

    def __init__(self, reasons: Mapping[str, str] | None = None, count: int = 0) -> None:
        """Take what was kept of one: the reasons of some, and how many there were."""
        self.reasons = dict(reasons or {})  # key as it is shown -> why
        self.count = max(count, len(self.reasons))
        self.error: Exception | None = None  # of the first
        self._lock = Lock()

    def add(self, key: object, why: Exception | str) -> None:
        """Leave one out; the second time that it is named counts no more."""
        name = shown(key)
        with self._lock:
            if name in self.reasons:
                return
            self.count += 1
            if self.error is None and isinstance(why, Exception):
                self.error = why
            if len(self.reasons) < KEPT:
                self.reasons[name] = said(why)

    def take(self, other: LeftOut) -> None:
        """Leave out those of another, too."""
        for name, why in other.reasons.items():
            self.add(name, why)
        with self._lock:
            self.count += other.count - len(other.reasons)

    def __bool__(self) -> bool:
        return self.count > 0

    def lines(self) -> list[str]:
        """Write who was left out, one a line, and how many more there were."""
        more = self.count - len(self.reasons)
        told = [f"{key}: {why}" for key, why in self.reasons.items()]
        return told + ([f"and {more:,} more"] if more else [])


def shown(key: object) -> str:
    """Write a key that may be anything on one short line."""
    if isinstance(key, str) and key and key.isprintable():
        return key if len(key) <= _KEY else f"{key[:_KEY]}..."
    return reprlib.repr(key)[:_KEY]


def said(why: Exception | str) -> str:
    """Write a reason on one short line; the kind of an error where that is not one of ours."""
    try:
        text = " ".join(str(why).split())
    except Exception:
        text = ""
    text = text if isinstance(why, str | PipelineError) else f"{type(why).__name__}: {text or 'no message'}"
    text = text.encode(errors="backslashreplace").decode()
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
