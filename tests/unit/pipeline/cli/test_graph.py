"""A wave's graph in a terminal."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from pipeline.cli.graph import bar, colour, graph, words
from pipeline.flows.plan import compile_flow, levels
from pipeline.gate.status_groups import by_kind
from pipeline.waves.progress import Progress
from tests.support.graphs import flow_of

GRAPH = {"sales": (), "weather": (), "demand": ("sales", "weather"), "report": ("demand",)}
PLAN = compile_flow(flow_of(GRAPH))
TASKS = {
    "sales": {"finished": 90, "failed: error": 10},
    "weather": {"finished": 70, "finished (late)": 5, "pending": 25},
    "demand": {"pending": 100},
    "report": {"pending": 100},
}
NOW = Progress("main/shop 2026-04-01T07", "open", None, TASKS, 400, 175, 3.2)


def drawn(width: int, height: int, running: dict[str, int] | None = None) -> str:
    console = Console(width=width, height=height, record=True, file=io.StringIO())
    console.print(graph(NOW, PLAN, running or {}, (width, height)))
    return console.export_text()


def test_tasks_stand_in_levels_each_below_what_it_reads():
    assert levels(GRAPH) == [["sales", "weather"], ["demand"], ["report"]]
    assert levels({}) == []


def test_where_there_is_room_each_task_is_a_box_and_a_level_a_row():
    lines = drawn(100, 40).splitlines()
    assert lines[0] == "main/shop 2026-04-01T07  open  3.2 s  175 of 400 entities of tasks ended (44%)"
    rows = [next(i for i, line in enumerate(lines) if f"─ {task}" in line) for task in GRAPH]
    assert rows[0] == rows[1] < rows[2] < rows[3]
    assert "─ demand ← sales, weather ─" in lines[rows[2]]
    assert "90 finished, 10 failed" in lines[rows[0] + 2]


@pytest.mark.parametrize("size", [(100, 12), (60, 17)])
def test_where_there_is_less_room_each_task_is_a_line_and_nothing_is_wider_than_the_terminal(size):
    lines = drawn(*size).splitlines()
    assert len(lines) <= size[1]
    assert max(map(len, lines)) <= size[0]


def test_a_bar_shows_one_failure_among_many_and_fills_its_width():
    found = bar(by_kind({"finished": 9999, "failed: error": 1}), 20)
    assert found.plain == "━" * 19 + "╳"
    assert len(bar(by_kind({"pending": 1, "finished": 2, "skipped: missing input": 3}), 31)) == 31


@pytest.mark.parametrize(
    ("counts", "running", "expected"),
    [
        ({"finished": 1, "failed: error": 1}, 0, "red"),
        ({"finished": 1, "pending": 1}, 0, "blue"),
        ({"pending": 2}, 1, "blue"),
        ({"pending": 2}, 0, "dim"),
        ({"finished": 2, "finished (degraded)": 1}, 0, "yellow"),
        ({"finished": 2, "skipped: missing input": 1}, 0, "green"),
        ({}, 0, "dim"),
    ],
)
def test_a_task_has_the_colour_of_what_matters_most(counts, running, expected):
    assert colour(by_kind(counts, running)) == expected


def test_numbers_that_find_no_room_are_those_that_the_bar_shows():
    kinds = by_kind({"finished": 10_000, "failed: error": 1_000, "pending": 20_000}, 5_000)
    assert words(kinds).plain == "10,000 finished, 1,000 failed, 5,000 running, 15,000 pending"
    assert words(kinds, 35).plain == "10,000 finished, 1,000 failed"
