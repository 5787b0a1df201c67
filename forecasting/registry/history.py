"""What was decided about a model at one stage: promotions, rollbacks and refusals. Pure.

Each decision is a file of its own with the next number, and is never changed. It carries the versions that a rollback
would go back through, so that the newest one alone tells what is live, and all of them how it came to be.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

PROMOTED, ROLLED_BACK, REFUSED = "promoted", "rolled back", "refused"
DEPTH = 20  # versions that can be rolled back through


@dataclass(frozen=True, slots=True)
class Event:
    """One decision.

    Args:
        number: From 1 on, without a gap; 0 where nothing was decided yet.
        kind: "promoted", "rolled back" or "refused".
        version: The one that it is about.
        before: The version that was live until then.
        stack: Versions that were made live one after the other and stand; the last one is live.
        by: User and machine.
        at: When, UTC.
        why: What the user said.
        forced: Past the gate.
        held: A person has rolled back, and nobody has promoted since.
        text: What the gate said, with its numbers.
        metrics: Those of the version's backtest.
    """

    number: int = 0
    kind: str = ""
    version: str = ""
    before: str | None = None
    stack: tuple[str, ...] = ()
    by: str = ""
    at: str = ""
    why: str = ""
    forced: bool = False
    held: bool = False
    text: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict)

    @property
    def live(self) -> str | None:
        """The version that is live after it, None where none is."""
        return self.stack[-1] if self.stack else None

    @property
    def earlier(self) -> tuple[str, ...]:
        """The versions that were live before that one, the newest first."""
        return tuple(dict.fromkeys(version for version in reversed(self.stack) if version != self.live))

    def stack_after(self, kind: str, version: str) -> tuple[str, ...]:
        """Return the versions that stand after the next decision."""
        if kind == PROMOTED:
            return (*self.stack, version)[-DEPTH:]
        if kind == ROLLED_BACK:
            return self.stack[: len(self.stack) - self.stack[::-1].index(version)]
        return self.stack

    def dump(self) -> bytes:
        """Return what `parse` reads."""
        return json.dumps(asdict(self), indent=1).encode()

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read what `dump` gave. Raises ValueError, KeyError or TypeError for anything else."""
        stored: dict[str, Any] = json.loads(data)
        return cls(**stored | {"stack": tuple(stored["stack"])})
