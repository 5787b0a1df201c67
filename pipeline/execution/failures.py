"""What fails in one run, for its log: a text once with how often it came, not a line for each entity. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

SHOWN = 3  # texts of one run; what is more is counted


@dataclass(slots=True)
class Failure:
    """One text, and for whom it was first."""

    text: str
    entity: str
    count: int = 1


@dataclass(slots=True)
class Failures:
    """What has failed in a run so far."""

    found: dict[str, Failure] = field(default_factory=dict)

    def add(self, entity: str, text: str) -> None:
        """Count a failure: texts that differ by the entity's name alone are one."""
        key = text.replace(entity, "<entity>")
        known = self.found.get(key)
        if known is None:
            self.found[key] = Failure(text, entity)
        else:
            known.count += 1

    def lines(self) -> Iterator[dict[str, str | int]]:
        """Yield what to log, the most frequent first."""
        ordered = sorted(self.found.values(), key=lambda one: -one.count)
        for one in ordered[:SHOWN]:
            yield {"count": one.count, "first": one.entity, "error": one.text}
        if rest := ordered[SHOWN:]:
            yield {"count": sum(one.count for one in rest), "texts": len(rest), "error": "other errors"}
