"""What came of a decision about the models of several partitions, and how a command tells it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any

import click

from forecasting.errors import ModelError
from forecasting.registry import Promotion
from pipeline.cli.output import write_json
from pipeline.cli.waiting import counted


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one partition's: a promotion, or why there is none."""

    partition: str
    done: Promotion | None = None
    error: str = ""


def each(partitions: Iterable[str], decide: Callable[[str], Promotion]) -> list[Outcome]:
    """Decide for each partition; an error of one does not stop the others."""
    found = []
    for partition in counted(partitions, "models"):
        try:
            found.append(Outcome(partition, decide(partition)))
        except ModelError as error:
            found.append(Outcome(partition, error=str(error)))
    return found


def finish(outcomes: list[Outcome], name: str, stage: str, as_json: bool) -> None:
    """Print the outcomes, and end with exit code 1 unless all went well."""
    if as_json:
        write_json([_as_json(outcome, stage) for outcome in outcomes])
    else:
        for outcome in outcomes:
            _tell(outcome, name, stage)
    if any(outcome.done is None or outcome.done.unpublished for outcome in outcomes):
        raise click.exceptions.Exit(1)


def _tell(outcome: Outcome, name: str, stage: str) -> None:
    done = outcome.done
    if done is None:
        click.echo(f"wave: {outcome.error}", err=True)
        return
    event = done.event
    head = f"{name} of {outcome.partition} at {stage}:"
    if not done.changed:
        click.echo(f"{head} {event.live} is live already")
        return
    before = f", before it {event.before}" if event.before else ""
    click.echo(f"{head} {event.live} is live ({event.kind}{' by force' if event.forced else ''}{before})")
    if event.text:
        click.echo(f"  {event.text}")
    if done.published:
        click.echo("  published")
    if done.unpublished:
        click.echo(
            f"wave: not published: {done.unpublished} The version is live all the same; `wave model publish {name}` "
            "tries again.",
            err=True,
        )


def _as_json(outcome: Outcome, stage: str) -> dict[str, Any]:
    found: dict[str, Any] = {"partition": outcome.partition, "stage": stage, "error": outcome.error or None}
    if outcome.done is None:
        return found
    done = outcome.done
    return found | {
        "live": done.event.live,
        "changed": done.changed,
        "published": done.published,
        "unpublished": done.unpublished or None,
        "event": asdict(done.event),
    }
