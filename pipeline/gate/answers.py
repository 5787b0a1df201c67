"""The gate's answers: to who asks to run a unit, and to who reports what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.gate.units import Unit


@dataclass(frozen=True, slots=True)
class Claim:
    """The gate's answer to a claim."""

    # granted, or why not: done, held, waiting, overdue, alone, closed, lost (the wave is not in Redis), or other (it
    # was submitted again)
    answer: str
    attempt: int = 0  # number of this attempt, from 1
    open_inputs: int = 0  # units that it would still have waited for, had its timeout not come
    statuses: str = ""  # of the entities, as earlier attempts left them; "" when none did
    mark: tuple[int, int] | None = None  # the piece (first, stop) at which an attempt that ran alone was lost
    wait: float = 0.0  # seconds until a refused claim may succeed, where that is known

    @property
    def granted(self) -> bool:
        """Whether the unit may be run."""
        return self.answer == "granted"

    @classmethod
    def read(cls, reply: Sequence[Any]) -> Claim:
        """Read what the script `claim` returned."""
        answer, *rest = reply
        if answer != b"granted":
            return cls(answer.decode(), wait=int(rest[0]) / 1000)
        attempt, open_inputs, statuses, mark = rest
        piece = tuple(int(n) for n in mark.split())
        found = (piece[0], piece[1]) if piece else None
        return cls("granted", int(attempt), int(open_inputs), statuses.decode(), found)


@dataclass(frozen=True, slots=True)
class Receipt:
    """The gate's answer to a report."""

    answer: str  # ok, or why it was refused: stale, closed, lost
    late: bool = False  # dependents had started without it
    closed: bool = False  # it was the last unit of its wave
    ready: tuple[Unit, ...] = ()  # dependents that wait for nothing now

    @property
    def ok(self) -> bool:
        """Whether the report counts."""
        return self.answer == "ok"

    @classmethod
    def read(cls, reply: Sequence[Any]) -> Receipt:
        """Read what the script `report` returned."""
        answer, late, closed, ready = reply
        return cls(
            answer.decode(), bool(late), bool(closed), tuple(Unit.read(unit.decode()) for unit in ready)
        )
