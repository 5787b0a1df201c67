"""How many tasks of a service a backlog asks for. Pure: numbers in, numbers out.

Work is counted in seconds of one slot, as `pipeline.monitoring.backlog` does. A *task* is here what ECS calls so: one
container group of a service; it runs `slots` messages at a time.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

FLOOR = 5.0  # seconds that a wave whose deadline has come, or is passed, is still given: no division by zero


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a service may have."""

    slots: int = 1  # messages that one task runs at a time
    least: int = 0  # tasks
    most: int = 10  # tasks

    def clamp(self, tasks: int) -> int:
        """Return the nearest allowed number of tasks."""
        return max(self.least, min(tasks, self.most))


@dataclass(frozen=True, slots=True)
class Work:
    """What one wave still has before it in the queues of one service."""

    seconds: float  # of one slot, over all its tasks, queued or not
    left: float  # seconds until it is to be done
    path: float = (
        0.0  # seconds that the longest row of its tasks takes at one shard, however many slots there are
    )
    units: int | None = (
        None  # (task, shard) pairs of it that are open; more slots than those would stand idle
    )
    startup: float = 0.0  # seconds until a task that is asked for now works on it

    def slots(self, present: int = 0) -> int:
        """Return how many slots it needs to be done in time, where `present` are there; none where nothing is left.

        Slots that are there work until the deadline; more of them only after their start.
        """
        if self.seconds <= 0:
            return 0
        usable = max(self.left - self.path, FLOOR)
        missing = self.seconds - present * usable
        if missing <= 0:
            needed = ceil(self.seconds / usable)
        else:
            needed = present + ceil(missing / max(usable - self.startup, self.startup, FLOOR))
        needed = max(needed, 1)
        return needed if self.units is None else max(1, min(needed, self.units))


def ceil(value: float) -> int:
    """Round up, except for what lies above a whole number by the error of floating point alone."""
    return math.ceil(value - 1e-9)


def tasks_for_backlog(seconds: float, messages: int, within: float, bounds: Bounds) -> int:
    """Return how many tasks clear a backlog of `seconds` of work in `within` seconds.

    At least one while there are messages, whatever they are thought to be worth: what was never measured, or costs
    nothing, must be run too. The number of running tasks does not enter, so that it works from zero.
    """
    wanted = max(ceil(seconds / (within * bounds.slots)), 1 if messages > 0 or seconds > 0 else 0)
    return bounds.clamp(wanted)


def tasks_for_waves(works: Sequence[Work], present: int, bounds: Bounds) -> int:
    """Return how many tasks the waves of a service need together, each to be done by its own deadline.

    `present` tasks are there or starting; the wave with the nearest deadline is given their slots first.
    """
    free, needed = present * bounds.slots, 0
    for work in sorted(works, key=lambda work: work.left):
        slots = work.slots(max(free, 0))
        free, needed = free - slots, needed + slots
    return bounds.clamp(ceil(needed / bounds.slots))


def backlog_per_task(seconds: float, tasks: int) -> float:
    """Return the metric that target tracking follows; at zero tasks it is that of one, so it is never undefined."""
    return seconds / max(tasks, 1)


class SlowDown:
    """Lets a number of tasks rise at once, and fall only to the largest that was wanted for some time."""

    def __init__(self, hold: float) -> None:
        """Take for how many seconds less must have been wanted before less is given."""
        self._hold = hold
        # falling numbers; the first is the largest of the time
        self._wanted: deque[tuple[float, int]] = deque()
        self._since: float | None = None

    def __call__(self, now: float, wanted: int, desired: int) -> int:
        """Return the number to have now, from what is wanted now and what is desired at present."""
        if self._since is None:
            self._since = now
        while self._wanted and self._wanted[-1][1] <= wanted:
            self._wanted.pop()
        self._wanted.append((now, wanted))
        while self._wanted[0][0] < now - self._hold:
            self._wanted.popleft()
        largest = self._wanted[0][1]
        if largest >= desired:
            return largest
        return desired if now - self._since < self._hold else largest
