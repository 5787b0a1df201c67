"""Statuses: how one entity of one task stands, in one byte. Pure.

A shard's statuses are one string, a printable character an entity, so that they can be read in redis-cli:
`chr(64 + code + marks)`. `@` is pending, `B` finished, `D` failed with an error.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

_BASE = 64
LATE, DEGRADED = 16, 32  # marks, added to a code

PENDING, _RUNNING, FINISHED, EMPTY, ERROR, TIMED_OUT, WORKER_LOST, MISSING, EXPIRED, CANCELLED = range(10)

_MEANING: Mapping[int, tuple[str, str | None]] = {
    PENDING: ("pending", None),
    _RUNNING: ("running", None),
    FINISHED: ("finished", None),
    EMPTY: ("finished", None),  # made no observation: there is no pipe
    ERROR: ("failed", "error"),
    TIMED_OUT: ("failed", "timed out"),
    WORKER_LOST: ("failed", "worker lost"),
    MISSING: ("skipped", "missing input"),
    EXPIRED: ("skipped", "expired"),
    CANCELLED: ("skipped", "cancelled"),
}

# What is pending reads as, in a wave that was closed early, by why it was.
REASONS = {"expired": EXPIRED, "superseded": EXPIRED, "cancelled": CANCELLED}


@dataclass(frozen=True, slots=True)
class Status:
    """How one entity of one task stands."""

    status: str  # pending, running, finished, failed or skipped
    reason: str | None = None  # error, timed out, missing input, worker lost, expired or cancelled
    late: bool = False  # it ended after tasks that read it had started without it
    degraded: bool = False  # it ran without an optional input
    observed: bool = True  # False: finished, but it made no observation

    def __str__(self) -> str:
        marks = [
            m
            for m, on in (("late", self.late), ("degraded", self.degraded), ("empty", not self.observed))
            if on
        ]
        reason = f": {self.reason}" if self.reason else ""
        return self.status + reason + (f" ({', '.join(marks)})" if marks else "")


def char(code: int, marks: int = 0) -> str:
    """Write a code with its marks as its character."""
    return chr(_BASE + code + marks)


PENDING_CHAR = char(PENDING)


def known(character: str) -> bool:
    """Return whether a character is that of a status."""
    return len(character) == 1 and 0 <= ord(character) - _BASE < 64 and code(character) in _MEANING


def code(character: str) -> int:
    """Return the code of a character, without its marks."""
    return (ord(character) - _BASE) & 15


def decode(character: str) -> Status:
    """Read a character."""
    value = ord(character) - _BASE
    status, reason = _MEANING[value & 15]
    return Status(status, reason, bool(value & LATE), bool(value & DEGRADED), value & 15 != EMPTY)


def done(character: str) -> bool:
    """True for a character of an entity that is finished: it is never run again."""
    return code(character) in (FINISHED, EMPTY)


def with_late(characters: str, before: str) -> str:
    """Mark late those that are finished now and were not before."""
    pairs = list(zip(characters, before, strict=True))
    marked = {(c, b): chr(ord(c) | LATE) if c != b and done(c) else c for c, b in set(pairs)}
    return "".join(map(marked.__getitem__, pairs))


def settle(characters: str, reason: str) -> str:
    """Read what is pending in a closed wave as skipped for the wave's reason."""
    return characters.replace(PENDING_CHAR, char(REASONS[reason]))
