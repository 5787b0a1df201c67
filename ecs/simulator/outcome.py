"""What came of a simulation: how long waves took, how many tasks there were, what they cost."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a trace under one policy."""

    times: tuple[float, ...]  # of each wave, from its submission to its end
    tasks: int  # most at a time
    hours: float  # of tasks, as billed
    work: float  # seconds of one slot that were worked
    slots: int  # of a task
    dollars: float
    entity_tasks: int
    history: tuple[tuple[float, int, float], ...] = ()  # moment, tasks, backlog

    @property
    def longest(self) -> float:
        """The longest wave."""
        return max(self.times, default=0.0)

    @property
    def mean(self) -> float:
        """The mean of the waves' times."""
        return sum(self.times) / max(len(self.times), 1)

    @property
    def used(self) -> float:
        """The share of the slots' paid time in which they worked."""
        return self.work / max(self.hours * 3600 * self.slots, 1e-9)

    @property
    def per_thousand(self) -> float:
        """Dollars for a thousand entity-tasks."""
        return self.dollars * 1000 / max(self.entity_tasks, 1)
