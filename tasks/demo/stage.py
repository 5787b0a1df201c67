"""The demo, act by act: history, training, a day of waves, and what was served."""

from __future__ import annotations

import os
import secrets
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from forecasting.registry import Registry
from pipeline import Wave, submit_wave
from pipeline.backfill import Backfill
from pipeline.embedded import serving
from pipeline.pipe import ONE_HOUR, stamp
from pipeline.processes import Workers
from pipeline.runtime import Runtime
from pipeline.settings import Settings
from tasks import delays, flights
from tasks.demo import report, scores
from tasks.demo.picture import draw

FIRST = datetime(2013, 6, 25, 4, tzinfo=UTC)  # midnight in New York
HOURS = 24
OUTAGE = (FIRST + 10 * ONE_HOUR, FIRST + 15 * ONE_HOUR)  # the departures do not answer from 10:00 to 15:59
IN_FLIGHT = 6  # waves of the backfill that are open at a time
LOCAL = ZoneInfo(flights.AIRPORT_TIME)


def run(out: Path, days: int, workers: int) -> None:
    """Play the demo and write its picture into the folder `out`. Leaves no process, whatever happens."""
    began = time.monotonic()
    console = Console(highlight=False)
    url = os.environ.get("REDIS_URL")
    version = f"demo-{secrets.token_hex(3)}" if url else "demo"  # a server of yours may hold an earlier demo
    try:
        with serving(url) as address, tempfile.TemporaryDirectory(prefix="wave-demo-") as models:
            settings = Settings(redis_url=address, version=version, models=models)
            console.print(f"Redis: {'yours' if url else 'a private one, gone afterwards'}")
            with _workers(settings, workers) as runtime:
                _play(runtime, console, out, days)
    except KeyboardInterrupt:
        console.print("\nstopped; nothing is left running")
        raise click.exceptions.Exit(130) from None
    console.print(f"\n{time.monotonic() - began:.0f} s in all")


@contextmanager
def _workers(settings: Settings, count: int) -> Iterator[Runtime]:
    """Start workers that know the shipped flows, the models' folder and when to play the outage."""
    env = {
        "PIPELINE_MODELS": settings.models,
        delays.OUTAGE: "/".join(stamp(date) for date in OUTAGE),
        "OMP_NUM_THREADS": "1",
    }
    version = settings.own_version()
    with Workers(
        settings.redis_url, ["tasks.delays"], count, version=version, env=env, patience=0
    ) as workers:
        workers.wait_ready()
        yield Runtime(settings)


def _play(runtime: Runtime, console: Console, out: Path, days: int) -> None:
    entities = flights.departures().entities
    airports = {features["origin"] for features in entities.values()}
    console.print(f"{len(entities)} carriers and routes at {len(airports)} airports, New York, 2013\n")
    _history(runtime, console, days)
    _training(runtime, console, sorted(airports))
    _day(runtime, console)
    served = scores.served(runtime, FIRST, HOURS)
    report.served_hours(console, served, LOCAL)
    report.day(console, scores.day(served))
    console.print(
        "the order, over the two weeks that follow, with the same models (mean absolute error, minutes):"
    )
    report.backtest(console, scores.backtest(Registry(runtime.settings.models), sorted(airports), FIRST))
    png, page = draw(served, out, LOCAL, OUTAGE)
    console.print(f"\npicture: {png}\n   page: {page}")


def _history(runtime: Runtime, console: Console, days: int) -> None:
    """Load the history hour by hour, as waves of the sources alone."""
    dates = [FIRST - n * ONE_HOUR for n in range(days * 24, 0, -1)]
    only = [task.name for task in delays.SOURCES]
    job = Backfill(delays.delays, dates, runtime, in_flight=IN_FLIGHT, only=only)
    with _bar(console) as bar:
        task = bar.add_task(f"history: {days} days by backfill, {len(dates):,} waves", total=len(dates))
        tally = job.run(lambda tally: bar.update(task, completed=tally.ended))
    if tally.failed:
        raise click.ClickException(
            f"{len(tally.failed)} waves of the history failed, such as {tally.failed[0]}."
        )


def _training(runtime: Runtime, console: Console, airports: list[str]) -> None:
    """Train a model an airport by a wave, and make it live."""
    began = time.monotonic()
    with console.status("training: a model an airport"):
        wave = submit_wave(delays.training, date=FIRST - ONE_HOUR, runtime=runtime).wait(300)
    errors = wave.errors("delay_model")
    if errors:
        raise click.ClickException(f"training failed: {errors}")
    registry = Registry(runtime.settings.models)
    found = [registry.manifest("delay", name, registry.live("delay", name)) for name in airports]
    gains = ", ".join(
        f"{m.partition} {m.metrics['mae']:.1f} min (seasonal naive {m.metrics['naive_mae']:.1f})"
        for m in found
    )
    console.print(
        f"training: {len(found)} models in {time.monotonic() - began:.0f} s; on their last week: {gains}\n"
    )


def _day(runtime: Runtime, console: Console) -> None:
    """Run the day's waves, one an hour, and say of each how it went."""
    console.print("a day of hourly waves (New York time); `departures` fails from 10:00 to 15:59:")
    for n in range(HOURS):
        date = FIRST + n * ONE_HOUR
        wave = submit_wave(delays.delays, date=date, runtime=runtime)
        with console.status(f"{date.astimezone(LOCAL):%H:%M}"):
            wave.wait(120)
        console.print(_line(wave, date))


def _line(wave: Wave, date: datetime) -> str:
    progress = wave.progress()
    made = sum(n for text, n in progress.tasks["delay_forecast"].items() if text.startswith("finished"))
    asked = sum(progress.tasks["delay_forecast"].values())
    note = ""
    if made < asked:
        failed = progress.tasks["departures"].get("failed: error", 0)
        note = f"  [red]departures failed for {failed}; earlier forecasts answer[/red]"
    return f"  {date.astimezone(LOCAL):%H:%M}  {made:>3} of {asked} forecast, {progress.seconds:4.1f} s{note}"


def _bar(console: Console) -> Progress:
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    return Progress(*columns, console=console)
