"""`wave ls`, `watch`, `cancel` and `retry`."""

from __future__ import annotations

import click

from pipeline.cli.options import json_option
from pipeline.cli.output import length, moment, plural, table, write_json
from pipeline.cli.session import Session, with_redis
from pipeline.cli.watching import ending, exit_code, follow, outcome
from pipeline.wave import Progress, Wave

wave_argument = click.argument("wave", nargs=-1, required=True)
wait_option = click.option(
    "--wait", is_flag=True, help="Follow it until it has ended; exit code 1 unless all is well."
)


@click.command()
@click.option("--flow", metavar="FLOW", help="Waves of this flow only.")
@click.option("--version", metavar="VERSION", help="Waves of this version only.")
@click.option("-n", "--number", metavar="N", default=20, show_default=True, help="How many; 0 for all.")
@json_option
@with_redis
def ls(session: Session, flow: str | None, version: str | None, number: int, as_json: bool) -> None:
    """List waves, the newest date first."""
    ids = session.runtime.records.ids(version, flow)
    found: list[tuple[Wave, Progress]] = []
    for wave_id in ids[: number or None]:
        if session.runtime.records.info(wave_id) is not None:  # else it has just been forgotten
            wave = Wave.find(wave_id, session.runtime)
            found.append((wave, wave.progress()))
    if as_json:
        write_json([outcome(progress) for _, progress in found])
        return
    if not found:
        click.echo("no waves" + (f" of {flow or version}" if flow or version else "") + " in Redis")
        return
    table(
        ["wave", "is", "submitted", "took", "finished", "failed", "skipped", "pending"],
        [_row(wave, progress) for wave, progress in found],
        right=["took", "finished", "failed", "skipped", "pending"],
    )
    if len(ids) > len(found):
        click.echo(f"and {plural(len(ids) - len(found), 'older wave')}: -n 0 lists all")


def _row(wave: Wave, progress: Progress) -> list[str]:
    counts = [f"{progress.count(s):,}" for s in ("finished", "failed", "skipped", "pending")]
    return [wave.id, ending(progress), moment(wave.info().submitted), length(progress.seconds), *counts]


@click.command()
@wave_argument
@with_redis
def watch(session: Session, wave: tuple[str, ...]) -> None:
    """Follow WAVE until it has ended. The exit code is 1 if something failed, or it did not end by itself."""
    progress = follow(session.wave(wave))
    raise click.exceptions.Exit(exit_code(progress))


@click.command()
@wave_argument
@with_redis
def cancel(session: Session, wave: tuple[str, ...]) -> None:
    """Close WAVE: what is open is not run any more, what runs now is not counted."""
    found = session.wave(wave)
    if found.cancel():
        click.echo(f"{found.id}: cancelled")
    else:
        click.echo(f"{found.id}: had ended already ({ending(found.progress())})")


@click.command()
@wave_argument
@wait_option
@with_redis
def retry(session: Session, wave: tuple[str, ...], wait: bool) -> None:
    """Run the failed, skipped and expired entities of WAVE again. What is finished is kept."""
    found = session.wave(wave)
    before = found.progress()
    found.retry()
    again = before.total - before.count("finished")
    if not again:
        click.echo(f"{found.id}: everything is finished, nothing to run again")
        return
    click.echo(f"{found.id}: {plural(again, 'entity of a task is', 'entities of tasks are')} run again")
    if wait:
        raise click.exceptions.Exit(exit_code(follow(found)))
