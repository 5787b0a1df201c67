"""`wave ls`, `watch`, `cancel` and `retry`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import click

from pipeline.cli.options import json_option, number_option
from pipeline.cli.output import STATUSES, table, write_json
from pipeline.cli.session import Session, wave_argument, with_redis
from pipeline.cli.watching import ending, exit_code, follow, outcome, pending
from pipeline.errors import UnreadableError
from pipeline.formatting import length, moment, plural
from pipeline.monitoring.queue_coverage import waits
from pipeline.waves.cost import Cost, money
from pipeline.waves.progress import Progress
from pipeline.waves.wave import Wave

COSTS = ("cost", "per 1,000")  # of the whole wave, and of 1,000 entities of a task

wait_option = click.option(
    "--wait", is_flag=True, help="Follow it until it has ended; exit code 1 unless all is well."
)


@click.command()
@click.option("--flow", metavar="FLOW", help="Waves of this flow only.")
@click.option("--version", metavar="VERSION", help="Waves of this version only.")
@number_option(20)
@json_option
@with_redis
def ls(session: Session, flow: str | None, version: str | None, number: int, as_json: bool) -> None:
    """List waves, the newest date first."""
    ids = session.runtime.records.ids(version, flow)
    found: list[tuple[Wave, Progress]] = []
    for wave_id in ids[: number or None]:
        if session.runtime.records.info(wave_id) is not None:  # else it has just been forgotten
            try:
                wave = Wave.find(wave_id, session.runtime)
            except UnreadableError as error:
                click.echo(f"wave: {error}", err=True)
                continue
            found.append((wave, wave.progress()))
    costs = _costs(session, [progress for _, progress in found])
    if as_json:
        write_json(
            [outcome(progress) | in_json(cost) for (_, progress), cost in zip(found, costs, strict=True)]
        )
        return
    if not found:
        click.echo("no waves" + (f" of {flow or version}" if flow or version else "") + " in Redis")
        return
    numbers = ["took", *STATUSES, *(COSTS if session.settings.price else ())]
    rows = [_row(wave, progress, cost) for (wave, progress), cost in zip(found, costs, strict=True)]
    table(["wave", "is", "submitted", *numbers], rows, right=numbers)
    if len(ids) > len(found):
        click.echo(f"and {plural(len(ids) - len(found), 'older wave')}: -n 0 lists all")


def _costs(session: Session, found: Sequence[Progress]) -> list[Cost | None]:
    """Return what waves cost so far; None for each without PIPELINE_PRICE."""
    price = session.settings.price
    if not price:
        return [None] * len(found)
    counts = session.runtime.records.counts_of([progress.wave for progress in found])
    return [cost_of(progress, counts[progress.wave], price) for progress in found]


def cost_of(progress: Progress, counts: Mapping[str, Mapping[str, int]], price: float) -> Cost:
    """Return what a wave cost so far, from its counts as records give them."""
    return Cost.of(counts, progress.count("finished") + progress.count("failed"), price)


def in_json(cost: Cost | None) -> dict[str, float]:
    """Return a cost for JSON; nothing where there is none."""
    return {} if cost is None else {"cost": cost.total, "cost_per_1000": cost.per_thousand}


def _row(wave: Wave, progress: Progress, cost: Cost | None) -> list[str]:
    counts = [f"{progress.count(status):,}" for status in STATUSES]
    paid = [] if cost is None else [money(cost.total), money(cost.per_thousand)]
    started, took = moment(wave.info().submitted), length(progress.seconds)
    return [wave.id, ending(progress), started, took, *counts, *paid]


@click.command()
@wave_argument
@json_option
@with_redis
def watch(session: Session, wave: tuple[str, ...], as_json: bool) -> None:
    """Follow WAVE until it has ended: in a terminal as a live graph.

    The exit code is 1 if something failed, or it did not end by itself. With --json it is an object a line,
    whenever something has ended.
    """
    found = session.wave(wave)
    if not as_json and not (now := found.progress()).closed:
        for text in waits(session.runtime, found.spec, pending(now)):
            click.echo(f"wave: {text}", err=True)
    progress = follow(found, as_json)
    raise click.exceptions.Exit(exit_code(progress))


@click.command()
@wave_argument
@json_option
@with_redis
def cancel(session: Session, wave: tuple[str, ...], as_json: bool) -> None:
    """Close WAVE: what is open is no longer run, and what runs now does not count."""
    found = session.wave(wave)
    cancelled = found.cancel()
    if as_json:
        write_json(outcome(found.progress()) | {"cancelled": cancelled})
    elif cancelled:
        click.echo(f"{found.id}: cancelled")
    else:
        click.echo(f"{found.id}: had ended already ({ending(found.progress())})")


@click.command()
@wave_argument
@wait_option
@json_option
@with_redis
def retry(session: Session, wave: tuple[str, ...], wait: bool, as_json: bool) -> None:
    """Run the failed, skipped and expired entities of WAVE again. What is finished is kept."""
    found = session.wave(wave)
    before = found.progress()
    found.retry()
    again = before.total - before.count("finished")
    if as_json:
        progress = found.wait().progress() if wait else found.progress()
        write_json(outcome(progress) | {"run_again": again})
        raise click.exceptions.Exit(exit_code(progress) if wait else 0)
    if not again:
        click.echo(f"{found.id}: everything is finished, nothing to run again")
        return
    click.echo(f"{found.id}: {plural(again, 'entity of a task is', 'entities of tasks are')} run again")
    if wait:
        raise click.exceptions.Exit(exit_code(follow(found)))
