"""`wave backfill`."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import click
from rich.progress import TextColumn

from pipeline.cli.options import base_option, json_option, only_option, state_option, version_option
from pipeline.cli.output import terminal, write_json
from pipeline.cli.session import HOUR, Session, check_past, flow_argument, with_session
from pipeline.cli.waiting import progress_bar
from pipeline.errors import DurationError
from pipeline.flows import durations
from pipeline.flows.pipe import hour, stamp
from pipeline.formatting import length, plural, some
from pipeline.waves.backfill import IN_FLIGHT, Backfill, Tally, hours

SAY_EVERY = 5.0  # seconds between two plain lines


class LastHour(click.ParamType[datetime]):
    """The last hour of a range; a day alone means its last hour."""

    name = "hour"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Read it. Raises KeyFormatError."""
        found = hour(value)
        return (
            found + timedelta(hours=23)
            if isinstance(value, str) and len(value) == len("2013-06-25")
            else found
        )


@click.command()
@flow_argument
@click.option("--from", "first", type=HOUR, required=True, help="The first hour, UTC.")
@click.option(
    "--to",
    "last",
    type=LastHour(),
    required=True,
    help="The last hour, included; a day alone means its last hour. No later than the present one.",
)
@click.option(
    "--every",
    metavar="LENGTH",
    help="Time from one date to the next. [default: the flow's schedule, else 1h]",
)
@click.option("--missing", is_flag=True, help="Run only what outages left out, as described above.")
@click.option(
    "--in-flight",
    type=click.IntRange(1),
    metavar="N",
    default=IN_FLIGHT,
    show_default=True,
    help="How many dates at a time.",
)
@state_option
@version_option
@base_option
@only_option
@json_option
@with_session
def backfill(
    session: Session,
    flow: str,
    first: datetime,
    last: datetime,
    every: str | None,
    missing: bool,
    in_flight: int,
    state: str | None,
    version: str | None,
    base: str | None,
    only: tuple[str, ...],
    as_json: bool,
) -> None:
    """Run FLOW for the hours of a range, oldest first, a few at a time.

    Its waves never expire. Pipes that are there stay as they are. With --missing, a date is skipped if its wave
    ended with nothing failed; a wave with failures is run again for those. A date whose wave Redis has forgotten is
    skipped, too, if each task has a pipe of some entity.

    Ctrl-C stops it; the dates in flight are finished by the workers.

    \b
    Examples:
      wave backfill delays --from 2013-05-01 --to 2013-06-30
      wave backfill delays --from 2013-06-25T06 --to 2013-06-25T12 --missing
    """
    check_past(session, first, "Give --from an earlier one.")
    found, last = session.flow(flow), min(last, session.runtime.clock.hour())
    step = None if every is None else _whole_hours(every)
    job = Backfill(
        found,
        hours(first, last, found, step),
        session.runtime,
        in_flight,
        missing,
        version,
        base,
        None if state is None else session.state(state, found),
        only or None,
    )
    try:
        with _showing(job, as_json) as seen:
            job.run(seen)
    except KeyboardInterrupt:
        _stopped(session, job)
        raise click.exceptions.Exit(130) from None
    if as_json:
        tally = job.tally
        write_json(
            {name: getattr(tally, name) for name in ("total", "skipped", "retried", "failed", "seconds")}
        )
    else:
        _end(job.tally)
    raise click.exceptions.Exit(int(bool(job.tally.failed)))


def _whole_hours(text: str) -> timedelta:
    found = durations.seconds(text, "--every")
    if found % durations.HOUR:
        raise DurationError(f"--every {text!r} is not a whole number of hours.")
    return timedelta(seconds=found)


@contextmanager
def _showing(job: Backfill, quiet: bool) -> Iterator[Callable[[Tally], None]]:
    """Show the progress: a bar in a terminal, a line now and then elsewhere."""
    console = terminal()
    if quiet:
        yield lambda _: None
    elif console is None:
        yield _Lines()
    else:
        with progress_bar(console, TextColumn("{task.fields[note]}")) as bar:
            task = bar.add_task(job.flow.name, total=job.tally.total, note="")
            yield lambda tally: bar.update(task, completed=tally.ended, note=_note(tally))


def _note(tally: Tally) -> str:
    parts = {"in flight": tally.in_flight, "skipped": tally.skipped, "with failures": len(tally.failed)}
    return ", ".join(f"{n:,} {name}" for name, n in parts.items() if n)


class _Lines:
    """Writes a line every few seconds."""

    def __init__(self) -> None:
        self._said = time.monotonic()

    def __call__(self, tally: Tally) -> None:
        if time.monotonic() - self._said >= SAY_EVERY:
            self._said = time.monotonic()
            click.echo(f"{tally.ended:,} of {tally.total:,} dates, {_note(tally)}")


def _end(tally: Tally) -> None:
    ran = tally.total - tally.skipped
    each = f", {length(tally.seconds / ran)} each" if ran else ""
    click.echo(f"{plural(tally.total, 'date')} in {length(tally.seconds)}{each}")
    if tally.skipped:
        click.echo(f"  {tally.skipped:,} had been run before")
    if tally.retried:
        click.echo(f"  {tally.retried:,} were run again for what they lacked")
    if tally.failed:
        click.echo(
            f"  {len(tally.failed):,} with failures: {some(tally.failed)}; "
            "`wave show` tells why, --missing runs them again"
        )


def _stopped(session: Session, job: Backfill) -> None:
    """Report what goes on without us, and how to go on."""
    tally = job.tally
    click.echo(
        f"\nstopped: {tally.ended:,} of {tally.total:,} dates are done; the workers finish {tally.in_flight:,} more.",
        err=True,
    )
    if job.next_date is None:
        return
    params = click.get_current_context().params
    words = [
        "wave",
        "backfill",
        params["flow"],
        "--from",
        stamp(job.next_date),
        "--to",
        stamp(params["last"]),
    ]
    for name in ("every", "state", "version", "base"):
        words += [f"--{name}", params[name]] if params[name] else []
    words += ["--missing"] * params["missing"] + ["--in-flight", str(params["in_flight"])]
    words += [word for task in params["only"] for word in ("--only", task)]
    words += [word for place in session.chosen.flows for word in ("-F", place)]
    click.echo(f"To go on: {shlex.join(words)}", err=True)
