"""Scaling policies as the simulator runs them: what each sees, how late, and what it asks for."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from ecs.control.policy import Bounds, SlowDown, Work, ceil, tasks_for_backlog, tasks_for_waves
from ecs.simulator.scenario import Scaling


@dataclass(frozen=True, slots=True)
class Seen:
    """What is measured at one moment."""

    at: float
    running: int  # tasks that take messages
    messages: int  # that wait or run
    backlog: float  # seconds of one slot, in both
    cpu: float  # of what the running tasks have, since the moment before: 0 to 1
    works: Sequence[Work] = ()  # what open waves, and those that come soon, have before them


class Policy(Protocol):
    """How many tasks to have."""

    period: float  # seconds between two looks
    delay: float  # seconds until it sees what was measured

    def __call__(self, now: float, seen: Seen, desired: int) -> int:
        """Return the number of tasks to have, from what is seen and what is desired now."""
        ...


class Ahead:
    """What the control service does: tasks by the work before them, known when its wave is submitted or soon due."""

    delay = 0.0  # it reads Redis itself

    def __init__(self, scaling: Scaling, bounds: Bounds) -> None:
        """Take how soon work is to be done, and what the service may have."""
        self.period, self._goal, self._bounds = scaling.control, scaling.goal, bounds
        self._slow = SlowDown(scaling.hold)

    def __call__(self, now: float, seen: Seen, desired: int) -> int:
        """Return what the control service would ask for."""
        wanted = tasks_for_backlog(seen.backlog, seen.messages, self._goal, self._bounds)
        wanted = max(wanted, tasks_for_waves(seen.works, desired, self._bounds))
        return self._slow(now, wanted, desired)


@dataclass
class CpuTracking:
    """Target tracking of the CPU, as Application Auto Scaling does it with its two alarms."""

    scaling: Scaling
    bounds: Bounds  # with a task at least: without one nothing is measured
    _values: deque[float] = field(default_factory=deque)

    def __post_init__(self) -> None:
        self.period, self.delay = self.scaling.aws_period, self.scaling.aws_delay

    def __call__(self, now: float, seen: Seen, desired: int) -> int:
        """Keep the CPU near its target by the number of tasks."""
        if not seen.running:
            return self.bounds.clamp(desired)
        target, high, low = self.scaling.cpu_target, self.scaling.aws_high, self.scaling.aws_low
        self._values.append(seen.cpu)
        while len(self._values) > low:
            self._values.popleft()
        newest = list(self._values)[-high:]
        if len(newest) == high and min(newest) > target:
            # What was added and has not started yet is not asked for again.
            desired = max(desired, ceil(seen.running * newest[-1] / target))
        elif len(self._values) == low and max(self._values) < 0.9 * target:
            desired = min(desired, ceil(seen.running * max(self._values) / target))
        return self.bounds.clamp(desired)
