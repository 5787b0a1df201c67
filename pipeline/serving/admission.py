"""How long a request would wait, from what workers say of themselves; and whether to accept it. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass

MARGIN = 0.9  # of the deadline that an estimate may fill: what is measured varies


@dataclass(frozen=True, slots=True)
class Capacity:
    """What the workers that are there can do together."""

    workers: int = 0
    slots: int = 0  # calls of predict that run at a time
    per_call: float = 1.0  # instances that one call takes now
    seconds: float | None = None  # that one call takes; None before any was measured

    @property
    def at_once(self) -> float:
        """Instances that are worked on at the same time."""
        return self.slots * self.per_call

    @property
    def rate(self) -> float:
        """Instances that they finish in a second; infinite before anything was measured."""
        return self.at_once / self.seconds if self.seconds else math.inf

    def wait(self, ahead: int, deadline: float) -> float:
        """Estimate the seconds until one more instance is answered, with `ahead` others before it.

        Before anything was measured, a call is taken to need a quarter of the deadline.
        """
        seconds = deadline / 4 if self.seconds is None else self.seconds
        beyond = max(ahead + 1 - self.at_once, 0.0)
        return seconds + beyond * seconds / max(self.at_once, 1e-9)

    def refuses(self, ahead: int, instances: int, deadline: float) -> float | None:
        """Return the seconds after which to try again where a request cannot be answered in time, None where it can.

        The first request of an idle model is always accepted: its measure may be that of a cold start.
        """
        if ahead == 0:
            return None
        wait = self.wait(ahead + instances - 1, deadline)
        late = wait - deadline * MARGIN
        return None if late <= 0 else max(late, 0.1)


def together(states: list[tuple[int, float, float | None]]) -> Capacity:
    """Sum up (slots, instances a call, seconds a call) of each worker."""
    slots = sum(state[0] for state in states)
    if not slots:
        return Capacity(len(states))
    measured = [state for state in states if state[2] is not None]
    weight = sum(state[0] for state in measured)
    seconds = sum(state[0] * (state[2] or 0.0) for state in measured) / weight if weight else None
    per_call = sum(state[0] * state[1] for state in states) / slots
    return Capacity(len(states), slots, max(per_call, 1.0), seconds)
