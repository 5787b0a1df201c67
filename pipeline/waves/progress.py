"""Progress: how far a wave is, in entities of tasks. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.gate import status
from pipeline.gate.records import WaveInfo
from pipeline.gate.wave_spec import WaveSpec


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a wave is, in entities of tasks.

    Args:
        wave: The wave's id.
        state: submitting, open or closed.
        reason: Why it is closed: done, empty, expired, superseded or cancelled.
        tasks: Task -> status ("finished", "failed: error", ...) -> entities.
        total: Entities of all tasks.
        ended: Of these, how many have a terminal status.
        seconds: Since it was submitted, or until it ended.

    Example:
        >>> counts = {"delay": {"finished": 1, "pending": 1}}
        >>> print(Progress("main/delays 2013-06-25T13", "open", None, counts, total=2, ended=1, seconds=0.5))
        main/delays 2013-06-25T13: open, 1 of 2 ended: 1 finished, 1 pending
    """

    wave: str
    state: str
    reason: str | None
    tasks: Mapping[str, Mapping[str, int]]
    total: int
    ended: int
    seconds: float

    @classmethod
    def of(
        cls, spec: WaveSpec, info: WaveInfo, counts: Mapping[str, Mapping[str, int]], seconds: float
    ) -> Progress:
        """Count the entities of each task by status, from a wave's counts as records give them."""
        code = status.REASONS.get(info.reason or "", status.PENDING)
        tasks: dict[str, Mapping[str, int]] = {}
        ended = 0
        for task in spec.plan.steps:
            size = spec.size_of(task)
            found = {c: n for c, n in counts.get(task, {}).items() if c != "us" and n}
            left = size - sum(found.values())
            if left:
                char = status.char(code)
                found[char] = found.get(char, 0) + left
            ended += size - found.get(status.PENDING_CHAR, 0)
            tasks[task] = in_words(found)
        total = sum(sum(t.values()) for t in tasks.values())
        return cls(spec.id, info.state, info.reason, tasks, total, ended, seconds)

    @property
    def closed(self) -> bool:
        """Whether it has ended."""
        return self.state == "closed"

    def count(self, name: str) -> int:
        """Count the entity-tasks of one status, whatever their reason: pending, finished, failed or skipped."""
        return sum(
            n
            for counts in self.tasks.values()
            for text, n in counts.items()
            if text.partition(":")[0].split(" ")[0] == name
        )

    def __str__(self) -> str:
        shown = ", ".join(
            f"{self.count(s):,} {s}" for s in ("finished", "failed", "skipped", "pending") if self.count(s)
        )
        reason = f" ({self.reason})" if self.reason not in (None, "done") else ""
        return f"{self.wave}: {self.state}{reason}, {self.ended:,} of {self.total:,} ended: {shown or 'no entities'}"


def in_words(counts: Mapping[str, int]) -> dict[str, int]:
    """Write out the characters of one task's counts: status as text -> entities."""
    return {str(status.decode(char)): n for char, n in sorted(counts.items()) if char != "us" and n}
