"""A wave's graph in a terminal: its tasks as boxes, level below level, with bars coloured by status. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from rich.box import ROUNDED
from rich.columns import Columns
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from pipeline.flows.plan import Plan, levels
from pipeline.formatting import length, plural
from pipeline.gate.status_groups import KINDS, by_kind
from pipeline.waves.progress import Progress

WIDTH = 39  # of a box, with its borders
HEIGHT = 4  # of one: its borders, a bar, numbers
AROUND = 4  # lines that are left for what stands above and below the graph
INSIDE = WIDTH - 4
LINE_BAR = 24  # cells of a bar where each task has one line

# Of each kind; a sign of its own too, for who sees no colours.
STYLES = {
    "finished": "green",
    "degraded": "yellow",
    "skipped": "bright_black",
    "failed": "red",
    "running": "blue",
    "pending": "dim",
}
SIGNS = {"finished": "━", "degraded": "━", "skipped": "╌", "failed": "╳", "running": "╸", "pending": "─"}


def bar(kinds: Mapping[str, int], width: int) -> Text:
    """Draw a bar of so many cells; what is there at all has one cell at least."""
    total = sum(kinds.values())
    if not total:
        return Text("─" * width, style="dim")
    cells = {kind: max(1, round(width * n / total)) for kind, n in kinds.items()}
    while sum(cells.values()) > width:
        cells[max(cells, key=lambda kind: cells[kind])] -= 1
    while sum(cells.values()) < width:
        cells[max(cells, key=lambda kind: kinds[kind])] += 1
    return Text.assemble(*((SIGNS[kind] * cells[kind], STYLES[kind]) for kind in KINDS if kind in cells))


def colour(kinds: Mapping[str, int]) -> str:
    """Return the colour of a task as a whole: what is worst; else whether it runs; else how it ended."""
    if "failed" in kinds:
        return STYLES["failed"]
    if "running" in kinds or ("pending" in kinds and len(kinds) > 1):
        return STYLES["running"]
    worst = ("pending", "degraded", "finished", "skipped")
    return next((STYLES[kind] for kind in worst if kind in kinds), STYLES["pending"])


def words(kinds: Mapping[str, int], width: int = 1000) -> Text:
    """Write the numbers that are not zero; where there is no room, without those that a bar shows well enough."""
    shown = {kind: Text(f"{n:,} {kind}", STYLES[kind]) for kind, n in kinds.items()}
    for kind in ("pending", "running"):
        if sum(len(text) + 2 for text in shown.values()) - 2 > width:
            shown.pop(kind, None)
    return Text(", ").join(shown.values()) if shown else Text("no entities", "dim")


def graph(progress: Progress, plan: Plan, running: Mapping[str, int], size: tuple[int, int]) -> Group:
    """Draw a wave: boxes where these find room in a terminal of that width and height, else a line a task."""
    kinds = {task: by_kind(its, running.get(task, 0)) for task, its in progress.tasks.items()}
    found = levels({name: step.inputs for name, step in plan.steps.items()})
    width, height = size
    abreast = max(width // (WIDTH + 1), 1)
    needed = sum(-(-len(level) // abreast) * HEIGHT for level in found) + AROUND
    drawn = (
        [_boxes(level, kinds, plan) for level in found] if needed <= height else [_lines(found, kinds, plan)]
    )
    return Group(head(progress), *drawn)


def head(progress: Progress) -> Text:
    """Return which wave it is, and how far."""
    share = f"{progress.ended / progress.total:.0%}" if progress.total else "100%"
    ended = f"{progress.ended:,} of {plural(progress.total, 'entity of a task', 'entities of tasks')} ended ({share})"
    return Text.assemble(
        (progress.wave, "bold"), f"  {progress.reason or progress.state}  {length(progress.seconds)}  {ended}"
    )


def _boxes(level: list[str], kinds: Mapping[str, Mapping[str, int]], plan: Plan) -> RenderableType:
    return Columns([_box(task, kinds[task], plan) for task in level], padding=(0, 1))


def _box(task: str, kinds: Mapping[str, int], plan: Plan) -> Panel:
    return Panel(
        Group(bar(kinds, INSIDE), _cut(words(kinds, INSIDE), INSIDE)),
        title=_cut(_named(task, plan), INSIDE - 2),
        title_align="left",
        width=WIDTH,
        height=HEIGHT,
        box=ROUNDED,
        border_style=colour(kinds),
    )


def _named(task: str, plan: Plan) -> Text:
    inputs = plan.steps[task].inputs
    return Text.assemble((task, "bold"), (f" ← {', '.join(inputs)}" if inputs else "", "dim"))


def _cut(text: Text, width: int) -> Text:
    text.truncate(width, overflow="ellipsis")
    text.no_wrap = True
    return text


def _lines(found: list[list[str]], kinds: Mapping[str, Mapping[str, int]], plan: Plan) -> Table:
    table = Table.grid(padding=(0, 2))
    for _ in range(3):
        table.add_column(no_wrap=True, overflow="ellipsis")
    for depth, level in enumerate(found):
        for task in level:
            mark = Text("  " * depth + "● ", style=colour(kinds[task]))
            table.add_row(mark + _named(task, plan), bar(kinds[task], LINE_BAR), words(kinds[task]))
    return table
