"""A scaling policy for tests of the simulator itself."""

from __future__ import annotations

from dataclasses import dataclass

from ecs.simulator.policies import Seen


@dataclass
class Fixed:
    """The same number of tasks all the time."""

    tasks: int
    period: float = 3600.0
    delay: float = 0.0

    def __call__(self, now: float, seen: Seen, desired: int) -> int:
        return self.tasks
