"""What came of a simulation: how long waves took, how many tasks there were, what they cost."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a trace under one policy.

    Args:
        times: Seconds of each wave, from its submission to its end.
        tasks: The most at a time.
        hours: Of tasks, as billed.
        work: Seconds of one slot that were worked.
        slots: Of a task.
        dollars: What that costs.
        entity_tasks: Entities of all waves times tasks of the flow.
        history: (moment, tasks, backlog) over time.
    """

    times: tuple[float, ...]
    tasks: int
    hours: float
    work: float
    slots: int
    dollars: float
    entity_tasks: int
    history: tuple[tuple[float, int, float], ...] = ()

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
