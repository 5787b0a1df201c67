"""What waves cost: the seconds that slots worked on their tasks, at the price of an hour of one slot. Pure.

A slot is what runs one unit at a time: a process of a worker, or a thread. Idle slots are paid by nobody here, so that
a wave's cost does not depend on how large the cluster was that ran it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Cost:
    """What the work of one wave cost, in the currency of the price."""

    seconds: float  # of work, of all tasks
    entity_tasks: int  # that finished or failed: those that were skipped did no work
    price: float  # of an hour of one slot

    @classmethod
    def of(cls, counts: Mapping[str, Mapping[str, int]], ended: int, price: float) -> Cost:
        """Add up a wave's counts as records give them; `ended` entity-tasks ran."""
        return cls(sum(its.get("us", 0) for its in counts.values()) / 1e6, ended, price)

    @property
    def total(self) -> float:
        """Of the whole wave."""
        return self.seconds / 3600 * self.price

    @property
    def per_thousand(self) -> float:
        """Of 1,000 entity-tasks; 0 where none ran."""
        return 1000 * self.total / self.entity_tasks if self.entity_tasks else 0.0

    def __str__(self) -> str:
        return f"{money(self.total)}, {money(self.per_thousand)} per 1,000 entities of a task"


def money(value: float) -> str:
    """Write an amount with what of it is not zero: 1,234.50, 0.12, 0.000031."""
    if value >= 1 or not value:
        return f"{value:,.2f}"
    return f"{value:.{1 - math.floor(math.log10(value))}f}".rstrip("0")
