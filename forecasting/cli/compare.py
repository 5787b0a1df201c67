"""`wave compare`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any

import click
import pandas as pd

from forecasting.cli.entities import chosen, observed_of
from forecasting.cli.options import observed_option
from forecasting.evaluation.compare import Scores, score_versions
from forecasting.models.columns import MEAN, OBSERVED
from pipeline.cli.backfill import LastHour
from pipeline.cli.options import json_option
from pipeline.cli.output import plain, table, write_json
from pipeline.cli.run import shown
from pipeline.cli.session import HOUR, Session, with_session
from pipeline.cli.waiting import busy, counted
from pipeline.flows.pipe import ONE_HOUR, stamp
from pipeline.formatting import plural
from pipeline.waves.versions import compare as side_by_side

SOME_ROWS = 20


@click.command()
@click.argument("pipe")
@click.argument("versions", nargs=-1, required=True, metavar="VERSION VERSION...")
@click.option("--from", "first", type=HOUR, required=True, help="The first date, UTC.")
@click.option(
    "--to",
    "last",
    type=LastHour(),
    required=True,
    help="The last date, included; a day alone means its last hour.",
)
@click.option(
    "-e", "--entity", "entities", metavar="KEY", multiple=True, help="Entity. May be given more than once."
)
@click.option("--state", metavar="STATE", help="Entities of this state. [default: the state of PIPE's flow]")
@observed_option
@click.option(
    "--truth", metavar="VERSION", help="Whose observations count. [default: the first that has any]"
)
@click.option("--leads", metavar="FIRST-LAST", help="Only these leads of forecasts, in hours. [default: all]")
@json_option
@with_session
def compare(
    session: Session,
    pipe: str,
    versions: tuple[str, ...],
    first: datetime,
    last: datetime,
    entities: tuple[str, ...],
    state: str | None,
    observed: str | None,
    truth: str | None,
    leads: str | None,
    as_json: bool,
) -> None:
    """Compare what several versions made of PIPE for the same entities and dates.

    Forecasts are scored on the answers that all versions gave, each version is tested against the first one named,
    and a sentence says which is better. For other pipes it shows where they differ. Nothing is taken from a base
    version.

    \b
    Examples:
      wave compare delay_forecast main fix --from 2013-06-18 --to 2013-06-24
      wave compare delay main fix --from 2013-06-24 --to 2013-06-24 -e JFK-LAX
    """
    if len(set(versions)) < 2:
        raise click.UsageError("name two versions or more: the first is what the others are compared with.")
    if last < first:
        raise click.UsageError(f"--to {stamp(last)} lies before --from {stamp(first)}.")
    keys = chosen(session, pipe, entities, state)
    dates = [first + n * ONE_HOUR for n in range(round((last - first) / ONE_HOUR) + 1)]
    store = session.runtime.store
    sample = store.get_grid(versions[0], pipe, dates, keys[:1])
    if _is_forecast(sample):
        if observed is None and not any(OBSERVED in value for value in sample.values()):
            observed = observed_of(session, pipe)
        span = None if leads is None else _span(leads)
        options: dict[str, Any] = {"observed": observed, "truth": truth, "leads": span, "store": store}
        options["seen"] = partial(counted, what="blocks of entities")
        _write_scores(score_versions(pipe, versions, keys, dates, **options), as_json)
    else:
        with busy("reading"):
            values = side_by_side(pipe, versions, keys, dates, store=store)
        _write_values(values, versions, as_json)


def _is_forecast(values: Mapping[Any, Any]) -> bool:
    return any(isinstance(value, Mapping) and MEAN in value for value in values.values())


def _span(text: str) -> tuple[int, int]:
    first, _, last = text.partition("-")
    if not (first.isdigit() and (last or first).isdigit() and 1 <= int(first) <= int(last or first)):
        raise click.UsageError(
            f"--leads {text}: write the smallest and the largest, like 1-6, or one, like 24."
        )
    return int(first), int(last or first)


def _write_scores(found: Scores, as_json: bool) -> None:
    if as_json:
        frames = {"table": found.table, "leads": found.leads, "tests": found.tests}
        counts = {"answers": found.answers, "left_out": found.left_out, "hours": found.hours}
        write_json({"pipe": found.pipe} | counts | {name: _records(frame) for name, frame in frames.items()})
        return
    head = ["version", "MAE", "RMSE", "scaled", "in 80 %", "in 95 %", "interval score"]
    rows = [
        [
            row["version"],
            f"{row['mae']:.4g}",
            f"{row['rmse']:.4g}",
            f"{row['scaled']:.3f}",
            _share(row["cover-80"]),
            _share(row["cover-95"]),
            _number(row["interval-95"]),
        ]
        for row in found.table.to_dict("records")
    ]
    table(head, rows, right=head[1:])
    click.echo(
        f"{plural(found.answers, 'answer')} for {plural(found.hours, 'hour')}; scaled: in units of an entity's mean "
        "change from one day to the next"
    )
    if found.left_out:
        click.echo(f"{plural(found.left_out, 'answer')} left out: not every version gave them")
    click.echo(found.verdict)


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    records: list[dict[str, Any]] = frame.to_dict("records")
    return records


def _share(value: float) -> str | None:
    return None if pd.isna(value) else f"{100 * value:.1f} %"


def _number(value: float) -> str | None:
    return None if pd.isna(value) else f"{value:.3f}"


def _write_values(found: pd.DataFrame, versions: Sequence[str], as_json: bool) -> None:
    if as_json:
        records = found.assign(ds=found["ds"].map(stamp)).to_dict("records")
        write_json([row | {"value": plain(row["value"])} for row in records])
        return
    each = len(versions)
    values = found["value"].tolist()
    groups = [values[start : start + each] for start in range(0, len(values), each)]
    keys = list(zip(found["unique_id"][::each], found["ds"][::each], strict=True))
    rows = [
        [
            version,
            f"{sum(_there(group[i]) for group in groups):,}",
            f"{sum(_same(group[0], group[i]) for group in groups):,}",
        ]
        for i, version in enumerate(versions)
    ]
    table(["version", "pipes", f"as {versions[0]}"], rows, right=["pipes", f"as {versions[0]}"])
    different = [i for i, group in enumerate(groups) if not all(_same(group[0], value) for value in group)]
    if not different:
        click.echo("all alike")
        return
    click.echo(f"\nwhere they differ: {len(different):,} of {plural(len(groups), 'pipe')}")
    lines = [[keys[i][0], stamp(keys[i][1]), *map(_cell, groups[i])] for i in different[:SOME_ROWS]]
    table(["entity", "date", *versions], lines)
    if len(different) > SOME_ROWS:
        click.echo(f"and {len(different) - SOME_ROWS:,} more: --json gives all")


def _there(value: Any) -> bool:
    return not (value is None or (isinstance(value, float) and pd.isna(value)))


def _same(one: Any, other: Any) -> bool:
    if not (_there(one) and _there(other)):
        return _there(one) == _there(other)
    if hasattr(one, "equals"):
        return bool(one.equals(other))
    return bool(one == other) if not hasattr(other, "equals") else False


def _cell(value: Any) -> str | None:
    if not _there(value):
        return None
    text = shown(value, 3).replace("\n", " ")
    return text if len(text) <= 60 else text[:57] + "..."
