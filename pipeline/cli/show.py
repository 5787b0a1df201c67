"""`wave show`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from pipeline.cli.options import json_option
from pipeline.cli.output import STATUSES, table, write_json
from pipeline.cli.session import Session, wave_argument, with_redis
from pipeline.cli.watching import by_status, ending, outcome, pending
from pipeline.cli.waves import cost_of, in_json
from pipeline.formatting import length, moment, plural, some
from pipeline.gate.incidents import grouped
from pipeline.monitoring.queue_coverage import waits
from pipeline.waves.cost import Cost
from pipeline.waves.progress import Progress
from pipeline.waves.reasons import Reason, reasons
from pipeline.waves.wave import Wave

MARKS = ("late", "empty", "degraded")  # of what is finished
INCIDENTS_SHOWN = 8  # kinds, without --errors
REASONS_SHOWN = 3  # of a task, without --errors
LEFT_SHOWN = 5  # entities that were left out, without --errors


@click.command()
@wave_argument
@click.option("--errors", is_flag=True, help="All reasons, each with all of its entities.")
@json_option
@with_redis
def show(session: Session, wave: tuple[str, ...], errors: bool, as_json: bool) -> None:
    """Show how WAVE stands: its tasks, their statuses, and why entities failed or were skipped."""
    found = session.wave(wave)
    progress, found_reasons = found.progress(), reasons(found)
    counts = session.runtime.records.counts(found.id)
    micros = {task: its.get("us", 0) for task, its in counts.items()}
    price = session.settings.price
    cost = cost_of(progress, counts, price) if price else None
    if as_json:
        write_json(_as_json(found, progress, micros, found_reasons, errors) | in_json(cost))
        return
    _head(found, progress, cost)
    table(
        ["task", *STATUSES, *MARKS, "work", "per entity"],
        [_row(progress, task, micros.get(task, 0)) for task in progress.tasks],
        right=[*STATUSES, *MARKS, "work", "per entity"],
    )
    for task, its in found_reasons.items():
        _reasons(task, its, errors)
    _left_out(found, errors)
    _incidents(found, errors)


def _head(wave: Wave, progress: Progress, cost: Cost | None) -> None:
    spec, info = wave.spec, wave.info()
    click.echo(
        f"{wave.id}: {ending(progress)}, {'after' if progress.closed else 'for'} {length(progress.seconds)}"
    )
    facts = {
        "submitted": f"{moment(info.submitted)} UTC{' as a backfill' if spec.backfill else ''}",
        "entities": f"{plural(spec.entities, 'entity', 'entities')} in {plural(len(spec.sizes), 'shard')}"
        + (f" of state {spec.state}" if spec.state else ""),
        "base version": spec.base,
        "commit": spec.commit and spec.commit[:12],
        "expires": f"{moment(info.expires)} UTC" if spec.expiry and not progress.closed else None,
        "cost": cost and str(cost),
        "lost": f"{plural(info.lost, 'run')} whose worker vanished; run again" if info.lost else None,
    }
    for name, value in facts.items():
        if value:
            click.echo(f"  {name:<12}  {value}")
    for text in [] if progress.closed else waits(wave.runtime, spec, pending(progress)):
        click.echo(f"  {'waits':<12}  {text}")
    click.echo()


def _row(progress: Progress, task: str, micros: int) -> list[str]:
    counts = by_status(progress, task)
    marks = {mark: sum(n for text, n in progress.tasks[task].items() if mark in text) for mark in MARKS}
    ran = counts["finished"] + counts["failed"]
    cells = [f"{n:,}" if n else "" for n in (*counts.values(), *marks.values())]
    return [
        task,
        *cells,
        length(micros / 1e6) if micros else "",
        length(micros / 1e6 / ran) if micros and ran else "",
    ]


def _incidents(wave: Wave, everything: bool) -> None:
    """Report for each task what was lost, late or run again, and why."""
    found, untold = wave.runtime.records.incidents(wave.id)
    groups = grouped(found)
    if groups:
        click.echo("\nrecovered or late")
    for (task, _), its in list(groups.items())[: None if everything else INCIDENTS_SHOWN]:
        first, last = moment(its[0].at)[11:], moment(its[-1].at)[11:]
        when = f"at {first}" if first == last else f"{first} to {last}"
        shards = list(dict.fromkeys(incident.unit.where for incident in its))
        click.echo(f"  {len(its):>6,} x {task}: {its[0].text}")
        click.echo(f"           {when} UTC, shard {some(shards, len(shards) if everything else 5)}")
    left = 0 if everything else len(groups) - INCIDENTS_SHOWN
    if left > 0:
        click.echo(f"  and {plural(left, 'more kind')}: --errors shows all")
    if untold:
        click.echo(f"  and {untold:,} more that were not written down")


def _left_out(wave: Wave, everything: bool) -> None:
    """Name the entities that it goes on without, and why."""
    left = wave.left_out()
    lines = left.lines()
    if lines:
        click.echo(f"\nleft out: {plural(left.count, 'entity', 'entities')}")
    for line in lines if everything else lines[:LEFT_SHOWN]:
        click.echo(f"  {line}")
    if not everything and len(lines) > LEFT_SHOWN:
        click.echo(f"  and {left.count - LEFT_SHOWN:,} more: --errors shows them")


def _reasons(task: str, its: list[Reason], everything: bool) -> None:
    click.echo(f"\n{task}")
    for reason in its if everything else its[:REASONS_SHOWN]:
        text = reason.text if reason.text.startswith(reason.status) else f"{reason.status}: {reason.text}"
        if reason.text.startswith("missing input"):
            text = f"skipped: {reason.text}"
        click.echo(f"  {len(reason.entities):>6,} x {text}")
        click.echo(f"           {some(reason.entities, len(reason.entities) if everything else 3)}")
    left = 0 if everything else len(its) - REASONS_SHOWN
    if left > 0:
        click.echo(f"  and {plural(left, 'more reason')}: --errors shows all")


def _as_json(
    wave: Wave,
    progress: Progress,
    micros: Mapping[str, int],
    its: Mapping[str, list[Reason]],
    everything: bool,
) -> dict[str, Any]:
    spec, info = wave.spec, wave.info()
    limit = None if everything else 3
    return outcome(progress) | {
        "flow": spec.flow,
        "version": spec.version,
        "base": spec.base,
        "date": spec.date.isoformat(),
        "entities": spec.entities,
        "shards": len(spec.sizes),
        "commit": spec.commit,
        "backfill": spec.backfill,
        "submitted": info.submitted,
        "expires": info.expires if spec.expiry else None,
        "lost": info.lost,
        "incidents": [
            {"at": i.at, "kind": i.kind, "task": i.unit.task, "shard": i.unit.where, "text": i.text}
            for i in wave.incidents()
        ],
        "left_out": {"count": (left := wave.left_out()).count, "entities": left.reasons},
        "work_seconds": {task: n / 1e6 for task, n in micros.items()},
        "reasons": {
            task: [
                {"status": r.status, "text": r.text, "count": len(r.entities), "entities": r.entities[:limit]}
                for r in all_
            ]
            for task, all_ in its.items()
        },
    }
