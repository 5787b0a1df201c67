"""Scaling policies as the simulator runs them: what each sees, how late, and what it asks for."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from ecs.control.policy import Bounds, SlowDown, Work, ceil, tasks_for_backlog, tasks_for_waves
from ecs.simulator.scenario import Scaling


@dataclass(frozen=True, slots=True)
class Seen:
    """What is measured at one moment."""

    at: float
    running: int  # tasks that take messages
    desired: int
    queued: int  # messages that wait
    flying: int  # messages that run
    backlog: float  # seconds of one slot, in both
    cpu: float  # of what the running tasks have, since the moment before: 0 to 1
    works: tuple[Work, ...] = ()  # what open waves, and those that come soon, have before them


class Policy(Protocol):
    """Says how many tasks to have."""

    name: str
    period: float  # seconds between two looks
    delay: float  # seconds until it sees what was measured

    def __call__(self, now: float, seen: Seen, desired: int) -> int:
        """Give the number of tasks to have, from what is seen and what is desired now."""
        ...


@dataclass
class Fixed:
    """The same number of tasks all the time."""

    tasks: int
    name: str = "fixed"
    period: float = 3600.0
    delay: float = 0.0

    def __call__(self, now: float, seen: Seen, desired: int) -> int:
        """Give the number."""
        return self.tasks


@dataclass
class Tracking:
    """Target tracking of a metric per task, as Application Auto Scaling does it with its two alarms."""

    name: str
    value: Callable[[Seen], float]  # of one task
    target: float
    bounds: Bounds
    period: float
    delay: float
    high: int  # values above the target that add tasks
    low: int  # values below 90 % of it that take some away
    _values: deque[float] = field(default_factory=deque)

    def __call__(self, now: float, seen: Seen, desired: int) -> int:
        """Keep the value near its target by the number of tasks."""
        if not seen.running and not seen.queued:
            return self.bounds.clamp(desired)
        values = self._values
        values.append(self.value(seen))
        while len(values) > self.low:
            values.popleft()
        tasks = max(seen.running, 1)
        newest = list(values)[-self.high :]
        if len(newest) == self.high and min(newest) > self.target:
            # What was added and has not started yet is not asked for again.
            return self.bounds.clamp(max(desired, ceil(tasks * newest[-1] / self.target)))
        if len(values) == self.low and max(values) < 0.9 * self.target:
            return self.bounds.clamp(min(desired, ceil(tasks * max(values) / self.target)))
        return self.bounds.clamp(desired)


@dataclass
class Backlog:
    """Tasks by the seconds of work before them; with `ahead` also by what waves need, known at their submission."""

    name: str
    goal: float
    bounds: Bounds
    period: float
    delay: float
    hold: float
    ahead: bool = False
    _slow: SlowDown | None = None

    def __call__(self, now: float, seen: Seen, desired: int) -> int:
        """Give what the control service would."""
        wanted = tasks_for_backlog(seen.backlog, seen.queued + seen.flying, self.goal, self.bounds)
        if self.ahead:
            wanted = max(wanted, tasks_for_waves(seen.works, desired, self.bounds))
        self._slow = self._slow or SlowDown(self.hold)
        return self._slow(now, wanted, desired)


def by_cpu(scaling: Scaling, bounds: Bounds, name: str = "cpu") -> Tracking:
    """Track the CPU; it needs a task to be measured, so it never goes to zero."""
    at_least = Bounds(bounds.slots, max(bounds.least, 1), bounds.most)
    return Tracking(name, lambda seen: seen.cpu, scaling.cpu_target, at_least, *_aws(scaling))


def by_length(scaling: Scaling, bounds: Bounds) -> Tracking:
    """Track the messages that wait for each task."""
    return Tracking(
        "queue",
        lambda seen: seen.queued / max(seen.running, 1),
        scaling.messages_target,
        bounds,
        *_aws(scaling),
    )


def by_backlog(scaling: Scaling, bounds: Bounds, ahead: bool) -> Backlog:
    """Follow the seconds of work, with or without what is known of waves."""
    name = "ahead" if ahead else "backlog"
    # What is known of waves is read from Redis itself, not from a metric.
    delay = 0.0 if ahead else scaling.delay
    return Backlog(name, scaling.goal, bounds, scaling.control, delay, scaling.hold, ahead)


def _aws(scaling: Scaling) -> tuple[float, float, int, int]:
    return scaling.aws_period, scaling.aws_delay, scaling.aws_high, scaling.aws_low
