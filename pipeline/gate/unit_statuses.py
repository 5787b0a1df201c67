"""Tally: how the entities of one unit stand while it runs. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from pipeline.gate import status
from pipeline.gate.status import PENDING_CHAR


@dataclass
class Tally:
    """How a unit's entities stand, and what of it was not reported yet."""

    chars: list[str]
    reported: list[str] = field(init=False)
    errors: dict[int, str] = field(default_factory=dict)  # index of an entity -> text

    def __post_init__(self) -> None:
        self.reported = list(self.chars)

    @classmethod
    def start(cls, size: int, statuses: str) -> Tally:
        """Begin with what earlier attempts left; anew where that cannot be read."""
        kept = len(statuses) == size and all(map(status.known, statuses))
        return cls(list(statuses) if kept else [PENDING_CHAR] * size)

    def open(self) -> list[int]:
        """Return the entities that have not ended yet."""
        return [i for i, char in enumerate(self.chars) if char == PENDING_CHAR]

    def set(self, indices: Iterable[int], code: int) -> None:
        """Set the status of some entities."""
        char = status.char(code)
        for i in indices:
            self.chars[i] = char

    def fail(self, index: int, code: int, text: str) -> None:
        """Set the status of an entity that failed, and say why."""
        self.chars[index] = status.char(code)
        self.errors[index] = text

    def degrade(self, index: int) -> None:
        """Mark an entity that finished without an optional input."""
        self.chars[index] = chr(ord(self.chars[index]) | status.DEGRADED)

    def report(self) -> dict[str, Any]:
        """Return what changed since the last report, in the form in which the gate takes it."""
        statuses, before = "".join(self.chars), "".join(self.reported)
        late = status.with_late(statuses, before)
        counts: dict[tuple[str, str], int] = {}
        for (new, marked, old), n in Counter(zip(statuses, late, before, strict=True)).items():
            if new != old:
                counts[new, marked] = counts.get((new, marked), 0) + n
        errors, self.errors = self.errors, {}
        return {
            "statuses": statuses,
            "late_statuses": late,
            "before": before,
            "counts": counts,
            "errors": errors,
        }

    def accept(self, late: bool) -> None:
        """Note that the report counts, and that the gate took what ended since the last one as late."""
        if late:
            self.chars = list(status.with_late("".join(self.chars), "".join(self.reported)))
        self.reported = list(self.chars)
