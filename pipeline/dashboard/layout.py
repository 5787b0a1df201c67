"""Where the tasks of a graph are drawn: in columns by their longest way from the start, edges as curves. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipeline.flows.plan import levels

WIDTH, HEIGHT = 190, 52  # of a task's box, in pixels
ACROSS, DOWN = 64, 22  # between columns, and between boxes of a column
MARGIN = 8
SWEEPS = 4  # over the columns, each ordering one by its neighbours


@dataclass(frozen=True, slots=True)
class Box:
    """A task's box: its left upper corner."""

    task: str
    x: int
    y: int


@dataclass(frozen=True, slots=True)
class Drawing:
    """A whole graph."""

    width: int
    height: int
    boxes: Sequence[Box]
    edges: Sequence[tuple[str, str, str]]  # from, to, and the path between them, as SVG has it


def draw(inputs: Mapping[str, Sequence[str]]) -> Drawing:
    """Place tasks, given with the tasks that each one reads, in an order in which each comes after its inputs."""
    columns = levels(inputs)
    _untangle(columns, inputs)
    tallest = max((len(column) for column in columns), default=0)
    step = HEIGHT + DOWN
    height = max(tallest * step - DOWN, 0) + 2 * MARGIN
    boxes = {
        task: Box(
            task,
            MARGIN + at * (WIDTH + ACROSS),
            (height - len(column) * step + DOWN) // 2 + row * step,
        )
        for at, column in enumerate(columns)
        for row, task in enumerate(column)
    }
    edges = [(i, task, _curve(boxes[i], boxes[task])) for task, its in inputs.items() for i in its]
    width = max(len(columns) * (WIDTH + ACROSS) - ACROSS, 0) + 2 * MARGIN
    return Drawing(width, height, [boxes[task] for task in inputs], edges)


def _untangle(columns: list[list[str]], inputs: Mapping[str, Sequence[str]]) -> None:
    """Order each column by the mean place of what its tasks are joined to, to and fro."""
    readers: dict[str, list[str]] = {task: [] for task in inputs}
    for task, its in inputs.items():
        for i in its:
            readers[i].append(task)
    for sweep in range(SWEEPS):
        forth = sweep % 2 == 0
        place = {t: row / max(len(c) - 1, 1) for c in columns for row, t in enumerate(c)}
        for column in columns if forth else reversed(columns):
            joined = inputs if forth else readers
            middle = {t: _mean([place[o] for o in joined[t]], place[t]) for t in column}
            column.sort(key=middle.__getitem__)
            place |= {t: row / max(len(column) - 1, 1) for row, t in enumerate(column)}


def _mean(values: Sequence[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise


def _curve(start: Box, end: Box) -> str:
    x1, y1 = start.x + WIDTH, start.y + HEIGHT // 2
    x2, y2 = end.x, end.y + HEIGHT // 2
    bend = max((x2 - x1) // 2, ACROSS // 2)
    return f"M{x1} {y1} C{x1 + bend} {y1} {x2 - bend} {y2} {x2} {y2}"
