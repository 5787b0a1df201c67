"""Following a wave until it has ended: a live table in a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from typing import Any

import click
from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from pipeline.cli.output import COLOURS, STATUSES, length, terminal
from pipeline.wave import Progress, Wave

EVERY = 0.2  # seconds between two looks
SAY_EVERY = 2.0  # seconds between two plain lines


def follow(wave: Wave) -> Progress:
    """Show a wave's progress until it has ended; gives the last."""
    console = terminal()
    last = _in_lines(wave) if console is None else _live(wave, console)
    click.echo(summary(last))
    return last


def _in_lines(wave: Wave) -> Progress:
    said, shown = -SAY_EVERY, -1
    while not (now := wave.progress()).closed:
        if time.monotonic() - said >= SAY_EVERY and now.ended != shown:
            said, shown = time.monotonic(), now.ended
            click.echo(str(now))
        time.sleep(EVERY)
    return now


def _live(wave: Wave, console: Console) -> Progress:
    with Live(console=console, auto_refresh=False, transient=False) as live:
        while True:
            now = wave.progress()
            live.update(picture(now), refresh=True)
            if now.closed:
                return now
            time.sleep(EVERY)


def picture(progress: Progress) -> Group:
    """Draw a wave's progress: a bar and the numbers of each task."""
    found = Table.grid(padding=(0, 2))
    for justify in ("left", "left", *("right",) * len(STATUSES)):
        found.add_column(justify=justify)  # type: ignore[arg-type]
    found.add_row("", "", *(Text(status, style="dim") for status in STATUSES))
    for task in progress.tasks:
        counts = by_status(progress, task)
        total = sum(counts.values())
        bar = ProgressBar(total=max(total, 1), completed=total - counts["pending"], width=30)
        cells = [Text(f"{counts[s]:,}" if counts[s] else "", style=COLOURS[s]) for s in STATUSES]
        found.add_row(task, bar, *cells)
    head = Text.assemble((progress.wave, "bold"), f"  {progress.state}  {length(progress.seconds)}")
    return Group(head, found)


def by_status(progress: Progress, task: str) -> dict[str, int]:
    """Add a task's counts up by status, whatever the reason."""
    found = dict.fromkeys(STATUSES, 0)
    for text, n in progress.tasks[task].items():
        found[text.partition(":")[0].split(" ")[0]] += n
    return found


def summary(progress: Progress) -> str:
    """Say in one line how a wave ended."""
    shown = ", ".join(f"{progress.count(s):,} {s}" for s in STATUSES if progress.count(s)) or "no entities"
    return f"{progress.wave}: {ending(progress)} after {length(progress.seconds)}: {shown}"


def ending(progress: Progress) -> str:
    """Say how a wave stands: submitting, open, or the reason of its end (done, empty, expired, cancelled)."""
    return progress.reason or progress.state


def exit_code(progress: Progress) -> int:
    """0 for a wave that ended with nothing failed, else 1."""
    return int(progress.reason not in ("done", "empty") or progress.count("failed") > 0)


def outcome(progress: Progress) -> dict[str, Any]:
    """Give a wave's progress for JSON."""
    return {
        "wave": progress.wave,
        "state": progress.state,
        "reason": progress.reason,
        "seconds": round(progress.seconds, 3),
        "total": progress.total,
        "ended": progress.ended,
        "tasks": progress.tasks,
    }
