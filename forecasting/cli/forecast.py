"""`wave forecast`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import click

from forecasting.cli.entities import chosen, near_names, observed_of
from forecasting.cli.options import observed_option
from forecasting.errors import NoForecast
from forecasting.models.columns import LEVELS
from forecasting.reading.cover import Cover, cover
from forecasting.reading.reader import Forecast, read_forecast, read_forecasts
from pipeline.cli.options import base_option, json_option, version_option
from pipeline.cli.output import table, write_json
from pipeline.cli.session import HOUR, Session, with_session
from pipeline.cli.waiting import busy, counted
from pipeline.flows.pipe import ONE_HOUR, stamp
from pipeline.formatting import plural, some

SOME_ENTITIES = 10  # that are named of those with the least cover

Found = dict[datetime, dict[str, Forecast]]


@click.command()
@click.argument("pipe")
@click.argument("entities", nargs=-1, metavar="[ENTITY]...")
@click.option(
    "--at", type=HOUR, metavar="HOUR", help="The hour that is asked about, UTC. [default: the next one]"
)
@click.option(
    "--hours", type=click.IntRange(1, 168), default=1, show_default=True, help="How many hours, from there."
)
@click.option(
    "--now",
    type=HOUR,
    metavar="HOUR",
    help="The newest hour whose wave counts. [default: the present, or before --at]",
)
@version_option
@base_option
@observed_option
@click.option("--stored", is_flag=True, help="Only forecasts that are stored; make none from observations.")
@click.option(
    "--cover", "covers", is_flag=True, help="For how many hours from now the entities still have forecasts."
)
@click.option(
    "--state", metavar="STATE", help="With --cover: its entities. [default: the state of PIPE's flow]"
)
@json_option
@with_session
def forecast(
    session: Session,
    pipe: str,
    entities: tuple[str, ...],
    at: datetime | None,
    hours: int,
    now: datetime | None,
    version: str | None,
    base: str | None,
    observed: str | None,
    stored: bool,
    covers: bool,
    state: str | None,
    as_json: bool,
) -> None:
    """Show what is forecast, and where each answer came from.

    PIPE is the task that makes the forecasts. The source of an answer is `fresh` (of the newest wave that was due),
    `older` (of an earlier wave: these are degraded), or, where none is stored that reaches the hour, `ridge` or
    `seasonal naive`, made from the observations. The lead is counted from the hour in which it was issued.

    \b
    Examples:
      wave forecast delay_forecast JFK-LAX
      wave forecast delay_forecast JFK-LAX --at 2013-06-25T18 --hours 6
      wave forecast delay_forecast --cover
    """
    version = version or session.settings.any_version()
    present = session.runtime.store.present()
    where: dict[str, Any] = {"version": version, "base": base, "store": session.runtime.store}
    if covers:
        keys = chosen(session, pipe, entities, state)
        with busy("reading the newest forecasts"):
            found_cover = cover(pipe, keys, now or present, **where)
        _show_cover(found_cover, as_json)
        return
    if not entities:
        raise click.UsageError("name an entity, or ask for --cover.")
    first = at or (now or present) + ONE_HOUR
    known = min(now or present, first - ONE_HOUR)
    keys = chosen(session, pipe, entities, None)
    options = where | {"now": known, "observed": observed, "fallback": not stored}
    wanted = [first + n * ONE_HOUR for n in range(hours)]
    found = _read(session, pipe, keys, wanted, options)
    if not any(found.values()):
        try:
            read_forecast(pipe, keys[0], first, **options)
        except NoForecast as error:
            raise NoForecast(f"{error}{near_names(session, pipe, keys[0])}") from None
    _write(keys, found, known, as_json)


def _read(
    session: Session, pipe: str, keys: Sequence[str], wanted: Sequence[datetime], options: dict[str, Any]
) -> Found:
    """Read the hours; where some have no answer and no forecast names its pipe, the flows are asked for it."""
    found = {date: read_forecasts(pipe, keys, date, **options) for date in counted(wanted, "hours")}
    if not options["fallback"] or options["observed"] or all(len(one) == len(keys) for one in found.values()):
        return found
    options["observed"] = observed_of(session, pipe)
    if options["observed"] is None:
        return found
    return {date: read_forecasts(pipe, keys, date, **options) for date in wanted}


def _write(keys: Sequence[str], found: Found, now: datetime, as_json: bool) -> None:
    if as_json:
        write_json([_object(key, date, answers.get(key)) for key in keys for date, answers in found.items()])
        return
    head = [
        "hour",
        "mean",
        *(f"{level} %" for level in LEVELS),
        "source",
        "issued",
        "lead",
        "version",
        "model",
    ]
    rows = [_row(date, answers.get(key)) for key in keys for date, answers in found.items()]
    if len(keys) > 1:
        head = ["entity", *head]
        rows = [[key, *row] for row, key in zip(rows, [k for k in keys for _ in found], strict=True)]
    table(head, rows, right=["mean", "lead", *(f"{level} %" for level in LEVELS)])
    answers = [answers.get(key) for key in keys for answers in found.values()]
    degraded = sum(one is not None and one.degraded for one in answers)
    missing = sum(one is None for one in answers)
    if degraded:
        click.echo(
            f"{degraded:,} of {plural(len(answers), 'answer')} degraded: not of the wave of {stamp(now)}"
        )
    if missing:
        click.echo(f"{plural(missing, 'hour')} without an answer")


def _row(date: datetime, found: Forecast | None) -> list[Any]:
    if found is None:
        return [stamp(date), *[None] * (1 + len(LEVELS)), "none", *[None] * 4]
    bounds = [_interval(found, level) for level in LEVELS]
    issued = stamp(found.issued)
    return [
        stamp(date),
        f"{found.value:.4g}",
        *bounds,
        found.source,
        issued,
        found.lead,
        found.version,
        found.model,
    ]


def _interval(found: Forecast, level: int) -> str | None:
    low, high = found.bounds.get(f"lo-{level}"), found.bounds.get(f"hi-{level}")
    return None if low is None or high is None else f"{low:.4g} to {high:.4g}"


def _object(key: str, date: datetime, found: Forecast | None) -> dict[str, Any]:
    if found is None:
        return {"entity": key, "at": stamp(date), "value": None, "source": None}
    return {
        "entity": key,
        "at": stamp(date),
        "value": found.value,
        "bounds": dict(found.bounds),
        "source": found.source,
        "degraded": found.degraded,
        "issued": stamp(found.issued),
        "lead": found.lead,
        "version": found.version,
        "model": found.model,
    }


def _show_cover(found: Cover, as_json: bool) -> None:
    summary = {"least": found.least, "p5": found.p5, "median": found.median, "out": found.out}
    if as_json:
        write_json({"pipe": found.pipe, "now": stamp(found.now)} | summary | {"hours": dict(found.hours)})
        return
    count = plural(len(found.hours), "entity", "entities")
    click.echo(f"cover of {count} by {found.pipe} at {stamp(found.now)}, in hours")
    head = ["least", "p5", "median", "without"]
    table(head, [list(summary.values())], right=head)
    least = sorted(found.hours, key=lambda key: found.hours[key])
    short = [key for key in least if found.hours[key] < found.median]
    if short:
        click.echo(f"least: {some([f'{key} {found.hours[key]}' for key in short], SOME_ENTITIES)}")
