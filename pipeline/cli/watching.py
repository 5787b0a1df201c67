"""Following a wave until it has ended: its graph, live, in a terminal; plain lines elsewhere; JSON for programs."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import click
import orjson
from rich.console import Console
from rich.live import Live

from pipeline.cli.graph import graph
from pipeline.cli.output import STATUSES, terminal
from pipeline.formatting import length
from pipeline.waves.progress import Progress
from pipeline.waves.wave import Wave

EVERY = 0.2  # seconds between two looks
SAY_EVERY = 2.0  # seconds between two plain lines


def follow(wave: Wave, as_json: bool = False) -> Progress:
    """Show a wave's progress until it has ended; returns the last. As JSON: an object a line at each change."""
    if as_json:
        last = _in_lines(wave, EVERY, _json_line)
        click.echo(_json_line(last))
        return last
    console = terminal()
    last = _in_lines(wave, SAY_EVERY, str) if console is None else _live(wave, console)
    click.echo(summary(last))
    return last


def _in_lines(wave: Wave, pause: float, write: Callable[[Progress], str]) -> Progress:
    said, shown = -pause, -1
    while not (now := wave.progress()).closed:
        if time.monotonic() - said >= pause and now.ended != shown:
            said, shown = time.monotonic(), now.ended
            click.echo(write(now))
        time.sleep(EVERY)
    return now


def _json_line(progress: Progress) -> str:
    return orjson.dumps(outcome(progress)).decode()


def _live(wave: Wave, console: Console) -> Progress:
    with Live(console=console, auto_refresh=False, transient=False) as live:
        while True:
            running, now = wave.running(), wave.progress()
            live.update(graph(now, wave.spec.plan, running, console.size), refresh=True)
            if now.closed:
                return now
            time.sleep(EVERY)


def by_status(progress: Progress, task: str) -> dict[str, int]:
    """Add a task's counts up by status, whatever the reason."""
    found = dict.fromkeys(STATUSES, 0)
    for text, n in progress.tasks[task].items():
        found[text.partition(":")[0].split(" ")[0]] += n
    return found


def pending(progress: Progress) -> list[str]:
    """Name the tasks of which something is pending."""
    return [task for task in progress.tasks if by_status(progress, task)["pending"]]


def summary(progress: Progress) -> str:
    """Return one line on how a wave ended."""
    shown = ", ".join(f"{progress.count(s):,} {s}" for s in STATUSES if progress.count(s)) or "no entities"
    return f"{progress.wave}: {ending(progress)} after {length(progress.seconds)}: {shown}"


def ending(progress: Progress) -> str:
    """Return how a wave stands: submitting, open, or the reason of its end (done, empty, expired, cancelled)."""
    return progress.reason or progress.state


def exit_code(progress: Progress) -> int:
    """0 for a wave that ended with nothing failed, else 1."""
    return int(progress.reason not in ("done", "empty") or progress.count("failed") > 0)


def outcome(progress: Progress) -> dict[str, Any]:
    """Return a wave's progress for JSON."""
    return {
        "wave": progress.wave,
        "state": progress.state,
        "reason": progress.reason,
        "seconds": round(progress.seconds, 3),
        "total": progress.total,
        "ended": progress.ended,
        "tasks": progress.tasks,
    }
