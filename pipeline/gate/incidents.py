"""Incidents: what went otherwise than it should in a wave, for those who ask afterwards.

The gate writes an incident down where it decides of it: each is a line `time kind number unit` (see `gate`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipeline.gate.units import Unit

# What each kind says of its task; the number is that of the attempt, or what the text says it is.
_TEXTS: Mapping[str, str] = {
    "lost": "its worker vanished; run again when its lease had ended",
    "died": "the process that ran it died; run again at once",
    "hung": "it ran past its time limit and was stopped",
    "frozen": "its worker stood still, held by it or by what ran beside it, and was ended; run alone",
    "returned": "given back by a worker that stopped or had lost Redis; run again",
    "alone": "run alone: workers had died with it",
    "timeout": "started at its timeout, with inputs still open",
    "late": "ended after what reads it had started without it",
    "unknown": "a worker that got it does not know it; left for one that does",
    "untaken": "ready for 35 s, and no worker had taken it (none was there, or all slots were busy); sent again",
}
KINDS = tuple(_TEXTS)


@dataclass(frozen=True, slots=True)
class Incident:
    """One thing that went otherwise than it should."""

    at: float  # seconds since the epoch, by Redis' clock
    kind: str  # lost, died, hung, frozen, returned, alone, timeout, late, unknown or untaken
    number: int  # of the attempt; for `timeout` how many inputs were open
    unit: Unit

    @classmethod
    def read(cls, line: str) -> Incident:
        """Read a line of the gate's."""
        at, kind, number, task, where, *_ = line.split(" ")
        return cls(int(at) / 1000, kind, int(number), Unit(task, where))

    @property
    def text(self) -> str:
        """What happened, in words."""
        return _TEXTS.get(self.kind, self.kind)


def grouped(incidents: Sequence[Incident]) -> dict[tuple[str, str], list[Incident]]:
    """Group by (task, kind), the most frequent first."""
    found: dict[tuple[str, str], list[Incident]] = {}
    for incident in incidents:
        found.setdefault((incident.unit.task, incident.kind), []).append(incident)
    return dict(sorted(found.items(), key=lambda item: -len(item[1])))
