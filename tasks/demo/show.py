"""What the demo writes to the terminal."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.live import Live
from rich.table import Table

from forecasting.evaluation.backtest import by_age
from pipeline.cli.waiting import progress_bar
from pipeline.local.processes import Workers
from pipeline.settings import without_secret
from pipeline.waves.progress import Progress as WaveProgress
from tasks.demo.day import Day, Mask
from tasks.demo.longer import AGES, CUTOFFS, FRESH, MODEL, TEST
from tasks.demo.script import Script, local
from tasks.demo.truth import RIVALS

_COMPARED = (">forecast", *(f">{name}" for name in RIVALS), ">in 80 %", ">in 95 %")


def opening(console: Console, script: Script) -> None:
    """Report what is going to happen."""
    day = f"{local(script.issues[0]):%d %B %Y}"
    outage = f"from {local(script.outage[0]):%H:%M} to {local(script.outage[-1]):%H:%M}"
    console.print(
        f"[bold]Hourly waves over real flights: New York, {day}[/]\n"
        "17 carriers and 59 routes at three airports. Each hour's wave asks two sources\n"
        "and forecasts the mean delay of departures for each of the next 24 hours.\n"
        f"In the waves {outage} the departures do not answer.\n",
        highlight=False,
    )


def ready(console: Console, workers: Workers, url: str | None) -> None:
    """Report what runs."""
    pids = ", ".join(map(str, workers.pids))
    where = f"on {without_secret(url)}" if url else "on a Redis of their own"
    done(console, f"{len(workers.pids)} Celery workers {where}", f"process ids {pids}")


def done(console: Console, what: str, detail: str = "") -> None:
    """Report that a step is done."""
    console.print(f"[green]done[/]  {what}" + (f" [dim]({detail})[/]" if detail else ""), highlight=False)


@contextmanager
def counting(console: Console, what: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show a bar; returns a function that takes how many are done."""
    began = time.monotonic()
    with progress_bar(console, transient=True) as progress:
        bar = progress.add_task(what, total=total)
        yield lambda n: progress.update(bar, completed=n)
    done(console, what, f"{total:,} steps, {time.monotonic() - began:.1f} s")


def models(console: Console, manifests: Sequence[Mapping[str, Any]], took: float) -> None:
    """Report what was trained."""
    done(console, f"{len(manifests)} models trained by a wave", f"{took:.1f} s")
    found = [(m["partition"], m["metrics"]) for m in manifests if m["metrics"]]
    texts = ", ".join(f"{name} {m['mae']:.1f} ({m['naive_mae']:.1f})" for name, m in found)
    console.print(
        f"      [dim]mean error on the last week, min (seasonal naive): {texts}[/]", highlight=False
    )


@contextmanager
def day_table(console: Console, day: Day, script: Script) -> Iterator[Callable[[int, WaveProgress], None]]:
    """Show the served hours, as a table that grows wave by wave; returns what adds the hour that follows a wave."""
    table = _table(
        "The served hours (New York time; errors in minutes, weighted by flights)",
        ("wave", "hour", ">made", ">answered", ">age", ">flights", ">error", ">in 80 %", ">in 95 %"),
    )

    def add(hour: int, wave: WaveProgress) -> None:
        where = np.arange(len(day.hours))[:, None] == hour
        made, age = wave.tasks["delay_forecast"].get("finished", 0), np.nanmax(day.age[hour])
        flights = day.flights[hour].sum()
        table.add_row(
            f"{local(script.issues[hour]):%H:%M}",
            f"{local(day.hours[hour]):%H:%M}",
            f"[red]{made}[/]" if wave.count("failed") else str(made),
            f"{day.answered[hour].sum()} of {len(day.entities)}",
            f"[yellow]{age:.0f} h[/]" if age > 1 else f"{age:.0f} h",
            f"{flights:.0f}",
            *([f"{day.mae(where):.1f}", *_covers(day, where)] if flights else []),
        )

    with Live(table, console=console, refresh_per_second=8):
        yield add
    if not console.is_terminal:
        console.print()


def _covers(day: Day, where: Mask) -> list[str]:
    return [_percent(day.coverage(level, where)) for level in (80, 95)]


def day_scores(console: Console, day: Day) -> None:
    """Sum the day up: fresh and older forecasts beside simple ones of the same hours."""
    answered, older = day.answered, day.older
    hours = int(older.any(axis=1).sum())
    missing = int((~answered).sum())
    console.print(
        f"[red]{missing:,} questions were not answered.[/]" if missing else "All hours were answered:",
        f"{answered.sum():,} answers for {len(day.hours)} hours, {older.sum():,} of them (in {hours} hours)\n"
        "from an older forecast, because the departures had failed.\n",
        highlight=False,
    )
    table = _table("The day: mean error; simple forecasts for the same hours", ("", ">truths", *_COMPARED))
    for name, where in (("fresh", day.fresh), ("older", day.older), ("all", answered)):
        table.add_row(
            name,
            f"{(where & (day.flights > 0)).sum():,}",
            f"[bold]{day.mae(where):.1f}[/]",
            *(f"{day.mae(where, rival):.1f}" for rival in RIVALS),
            *_covers(day, where),
        )
    console.print(table)


def longer_scores(console: Console, scores: pd.DataFrame) -> None:
    """Show error by age for each stretch and for all of them."""
    starts = [f"{date:%d %b}" for date in CUTOFFS]
    title = f"Longer backtest: mean error, {TEST // 24} days from each date, all ages on the same hours"
    table = _table(title, ("", *(f">{start}" for start in starts), ">all", ">in 80 %", ">in 95 %"))
    total = by_age(scores, AGES).set_index(["model", "age"])
    parts = [by_age(part, AGES).set_index(["model", "age"])["mae"] for _, part in scores.groupby("cutoff")]
    rows = [("fresh" if age == FRESH else f"{age} old", (MODEL, age)) for age in AGES]
    rows += [(name, (name, FRESH)) for name in RIVALS]
    for label, key in rows:
        covers = [total.loc[key, f"cover-{level}"] for level in (80, 95)]
        table.add_row(
            label,
            *(f"{part[key]:.2f}" for part in parts),
            f"[bold]{total.loc[key, 'mae']:.2f}[/]",
            *("" if np.isnan(cover) else _percent(cover) for cover in covers),
        )
    console.print(table)
    errors = [float(total.loc[key, "mae"]) for _, key in rows[: len(AGES) + 1]]
    order = (
        "fresh < older < seasonal naive" if errors == sorted(errors) else "[red]not in the expected order[/]"
    )
    console.print(f"{order}: {' < '.join(f'{e:.2f}' for e in errors)}", highlight=False)
    hours = int(total.loc[(MODEL, FRESH), "hours"])
    console.print(f"[dim]each age on the same {hours:,} hours with flights[/]\n", highlight=False)


def _table(title: str, head: Sequence[str]) -> Table:
    """Build a table; a head that begins with ">" is of a column of numbers."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, title=title, title_justify="left", title_style="bold")
    for name in head:
        table.add_column(name.lstrip(">"), justify="right" if name.startswith(">") else "left")
    return table


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
