"""When the shards of a wave ran: a row a place, a piece a task, as they ended one after the other. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipeline.gate.unit_record import Condition
from pipeline.gate.units import Unit

ROWS = 40  # places that are drawn, those that took longest
WIDTH, HEIGHT, LABEL = 900, 14, 90  # of the drawing, of a row, and what its name takes; in pixels


@dataclass(frozen=True, slots=True)
class Piece:
    """One task at one place, from the end of the one before it."""

    task: str
    x: float
    width: float
    seconds: float  # when it had ended, after the wave's submission
    again: bool  # it was run more than once


@dataclass(frozen=True, slots=True)
class Timeline:
    """All of it."""

    rows: Sequence[tuple[str, Sequence[Piece]]]  # where, and its pieces
    seconds: float  # what the whole width stands for
    left: int  # places that are not drawn

    @property
    def height(self) -> int:
        """In pixels."""
        return len(self.rows) * (HEIGHT + 4)


def timeline(starts: Mapping[str, float], conditions: Mapping[Unit, Condition], submitted: float) -> Timeline:
    """Draw what is done. Times are seconds since the epoch."""
    done: dict[str, list[tuple[float, str, bool]]] = {}
    for unit, condition in conditions.items():
        if condition.name == "done":
            done.setdefault(unit.where, []).append((condition.at, unit.task, condition.attempt > 1))
    last = max((at for its in done.values() for at, _, _ in its), default=submitted)
    whole = max(last - submitted, 1e-3)
    scale = (WIDTH - LABEL) / whole
    order = sorted(done, key=lambda where: (-max(done[where])[0], where))
    rows = []
    for where in sorted(order[:ROWS], key=_number):
        before, pieces = starts.get(where, submitted), []
        for at, task, again in sorted(done[where]):
            x, end = (before - submitted) * scale, (at - submitted) * scale
            pieces.append(
                Piece(task, round(LABEL + x, 1), round(max(end - x, 1.0), 1), at - submitted, again)
            )
            before = at
        rows.append((where, pieces))
    return Timeline(rows, whole, max(len(order) - ROWS, 0))


def _number(where: str) -> tuple[int, str]:
    return (0, f"{int(where):09}") if where.isdigit() else (1, where)
