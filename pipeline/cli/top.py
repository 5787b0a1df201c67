"""`wave top`: what runs now, live in a terminal, once elsewhere."""

from __future__ import annotations

import time
from typing import Any

import click
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from pipeline.cli.graph import bar
from pipeline.cli.options import json_option
from pipeline.cli.output import plain_table, rich_table, terminal, write_json
from pipeline.cli.session import Session, with_session
from pipeline.flows import durations
from pipeline.formatting import length, plural, size
from pipeline.gate.status_groups import by_kind
from pipeline.monitoring.live_view import Line, Look, as_json, grouped, lines, look
from pipeline.monitoring.observe import Observed

PAUSE = 1.0  # seconds between the two looks of a single answer: rates need some time
BAR = 20  # cells

FLOWS = ("flow", "newest wave", "", "is", "ended", "of", "a second", "slots", "late")
QUEUES = ("queue", "queued", "in flight", "work", "slots", "done in")
PROCESSES = ("process", "version", "count", "slots", "queues")
RIGHT = {"ended", "of", "a second", "slots", "late", "queued", "in flight", "work", "done in", "count"}


@click.command()
@click.option("--every", metavar="LENGTH", default="2s", show_default=True, help="How often it looks again.")
@click.option("--once", is_flag=True, help="Look once, even in a terminal.")
@json_option
@with_session
def top(session: Session, every: str, once: bool, as_json: bool) -> None:
    """Show what runs now: flows with their newest waves and rates, queues, workers, Redis.

    In a terminal it goes on until Ctrl-C; elsewhere, or with --once or --json, it looks for a second and ends. Only
    flows whose schedules are known here, by PIPELINE_FLOWS or -F, are shown as late.
    """
    pause = durations.seconds(every, "--every")
    console = None if once or as_json else terminal()
    before = look(session.runtime, session.flows.values())
    if console is not None:
        _live(session, console, before, pause)
        return
    time.sleep(PAUSE)
    now = look(session.runtime, session.flows.values())
    if as_json:
        write_json(_json(before, now))
    else:
        _once(before, now)


def _json(before: Look, now: Look) -> dict[str, Any]:
    return as_json(now.observed, lines(before, now))


def _live(session: Session, console: Console, before: Look, pause: float) -> None:
    """Show it until Ctrl-C, on the terminal's other screen, so that what stood there before comes back."""
    flows = list(session.flows.values())
    with Live(console=console, auto_refresh=False, screen=True) as live:
        wait = min(pause, PAUSE)
        while True:
            time.sleep(wait)
            now, wait = look(session.runtime, flows), pause
            live.update(picture(before, now), refresh=True)
            before = now


def picture(before: Look, now: Look) -> Group:
    """Draw it for a terminal."""
    found, observed = lines(before, now), now.observed
    rows = [[*_flow(line)[:2], _bar(line), *_flow(line)[2:]] for line in found]
    tables = ((FLOWS, rows), (QUEUES, _queues(observed)), (PROCESSES, _processes(observed)))
    drawn = (rich_table(names, cells, RIGHT, no_wrap=True) for names, cells in tables)
    return Group(Text(head(observed), style="bold"), *drawn)


def _once(before: Look, now: Look) -> None:
    """Write it as plain text: three tables under a line."""
    observed = now.observed
    click.echo(head(observed))
    for names, rows in (
        ([name for name in FLOWS if name], [_flow(line) for line in lines(before, now)]),
        (list(QUEUES), _queues(observed)),
        (list(PROCESSES), _processes(observed)),
    ):
        click.echo()
        plain_table(names, rows, [name for name in names if name in RIGHT])


def head(observed: Observed) -> str:
    """Summarise in a line when, who is there, and how full Redis is."""
    workers = sum(process.kind == "worker" for process in observed.processes)
    memory = [
        f"{server} {size(info.get('used_memory', 0))}"
        + (f" of {size(info['maxmemory'])}" if info.get("maxmemory") else "")
        for server, info in observed.redis.items()
    ]
    opened = sum(standing.open for standing in observed.standings)
    return (
        f"{observed.now:%Y-%m-%d %H:%M:%S} UTC  {plural(workers, 'worker')}  {plural(opened, 'open wave')}  "
        f"{plural(observed.deadlines, 'deadline')}  Redis: {', '.join(memory)}"
    )


def _bar(line: Line) -> Text:
    counts: dict[str, int] = {}
    for statuses in line.newest.tasks.values() if line.newest else ():
        for kind, n in by_kind(statuses).items():
            counts[kind] = counts.get(kind, 0) + n
    return bar(counts, BAR)


def _flow(line: Line) -> list[str]:
    standing, newest = line.standing, line.newest
    name = f"{standing.version}/{standing.flow}"
    late = length(standing.late) if standing.late else ""
    if newest is None:
        return [name, "none", "", "", "", "", "", late]
    date = newest.wave.partition(" ")[2]
    rate = f"{line.rate:,.0f}" if line.rate else ""
    work = f"{line.work:.1f}" if line.work else ""
    how = newest.reason or newest.state
    return [name, date, how, f"{newest.ended:,}", f"{newest.total:,}", rate, work, late]


def _queues(observed: Observed) -> list[list[str]]:
    found = []
    for name, backlog in observed.queues.items():
        slots = observed.slots(name)
        if not (slots or backlog.messages):
            continue
        done = "" if not backlog.seconds else length(backlog.seconds / slots) if slots else "no worker"
        work = length(backlog.seconds) if backlog.seconds else ""
        found.append([name, f"{backlog.queued:,}", f"{backlog.in_flight:,}", work, f"{slots:,}", done])
    return found


def _processes(observed: Observed) -> list[list[str]]:
    return [
        [kind, version, f"{count:,}", f"{slots:,}" if slots else "", queues]
        for (kind, version, queues), (count, slots) in grouped(observed.processes).items()
    ]
