"""`wave run`."""

from __future__ import annotations

import pprint
import sys
from collections.abc import Mapping, Sized
from datetime import datetime
from typing import Any

import click

from pipeline.cli.options import base_option, json_option, version_option
from pipeline.cli.output import plain, write_json
from pipeline.cli.session import HOUR, Session, flow_argument, own_traceback, with_session
from pipeline.errors import KeyFormatError, RunError
from pipeline.execution.inputs import Chunks
from pipeline.execution.replay import Replay, Step
from pipeline.execution.task_run import describe
from pipeline.flows.entity import Entity
from pipeline.formatting import length

LINES = 12  # of one value


@click.command()
@flow_argument
@click.option(
    "-e",
    "--entity",
    metavar="KEY",
    required=True,
    help="Entity; @PARTITION or @all for the tasks of a scope.",
)
@click.option("--at", type=HOUR, required=True, metavar="HOUR", help="Date, UTC.")
@click.option(
    "--task", "tasks", metavar="TASK", multiple=True, help="Only this task. May be given more than once."
)
@version_option
@base_option
@click.option(
    "--feature", "features", metavar="NAME=VALUE", multiple=True, help="A feature, instead of the state's."
)
@click.option("--save", is_flag=True, help="Write the pipes that it makes; else nothing is written.")
@json_option
@with_session
def run(
    session: Session,
    flow: str,
    entity: str,
    at: datetime,
    tasks: tuple[str, ...],
    version: str | None,
    base: str | None,
    features: tuple[str, ...],
    save: bool,
    as_json: bool,
) -> None:
    """Run FLOW, or one task of it, for one entity in this process, and show what goes in and what comes out.

    A task reads what this run made before, and everything else from the store. There are no time limits and no
    rates, so breakpoint() works. The exit code is 1 when a task failed.

    \b
    Examples:
      wave run delays -e JFK-LAX --at 2013-06-25T13
      wave run delays -e JFK-LAX --at 2013-06-25T13 --task delay --version fix --base main --save
      wave run delays -e @JFK --at 2013-06-25T13
    """
    found, runtime = session.flow(flow), session.runtime
    replay = Replay(
        found,
        entity,
        at,
        runtime.store,
        version or session.settings.any_version(),
        base,
        None if found.state is None else runtime.states.bind(found.state),
        features_of(features) if features else None,
        save,
    )
    failed, written = False, []
    for step in replay.run(tasks or None):
        if as_json:
            written.append(_as_json(step))
        else:
            _show(step)
        failed = failed or (step.error is not None and not _not_run(step))
    if as_json:
        write_json(written)
    if failed:
        raise click.exceptions.Exit(1)


def _not_run(step: Step) -> bool:
    """Return whether a task was not called, for lack of an input."""
    return isinstance(step.error, RunError) and not step.inputs


def features_of(pairs: tuple[str, ...]) -> dict[str, Any]:
    """Read NAME=VALUE; a value that looks like a number is one. Raises KeyFormatError."""
    found: dict[str, Any] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not (name and equals):
            raise KeyFormatError(f"feature {pair!r}: write it as NAME=VALUE.")
        found[name] = _number(value)
    return found


def _number(text: str) -> Any:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _show(step: Step) -> None:
    name = click.style(step.task.name, bold=True) if sys.stdout.isatty() else step.task.name
    click.echo(f"{name}  {length(step.seconds)}")
    for pipe, value in step.inputs.items():
        click.echo(_field(pipe, value))
    if _not_run(step):
        click.echo(f"  not run: {step.error}{_hint(step)}")
    elif isinstance(step.error, RunError):
        click.echo(f"  failed: {step.error}")
    elif step.error is not None:
        click.echo("".join(f"  {line}\n" for line in own_traceback(step.error).splitlines()), nl=False)
    elif step.value is None:
        click.echo("  -> None: no observation, so there is no pipe")
    else:
        click.echo(_field("->", step.value))
    if step.saved is not None:
        click.echo("  saved" if step.saved else "  not saved: there was a pipe already, which stays as it is")


def _as_json(step: Step) -> dict[str, Any]:
    """Return a step for JSON; what goes in as text, because it may be anything."""
    return {
        "task": step.task.name,
        "seconds": round(step.seconds, 6),
        "inputs": {pipe: shown(value) for pipe, value in step.inputs.items()},
        "value": None if step.error else plain(step.value),
        "error": None if step.error is None else describe(step.error),
        "saved": step.saved,
    }


def _hint(step: Step) -> str:
    """Return how to make missing inputs that this run cannot make, because another scope makes them."""
    absent = [pipe for pipe in step.scoped if pipe in str(step.error).split()]
    hints = [
        f"{p} runs once a {step.scoped[p]}: -e {'@all' if step.scoped[p] == 'wave' else '@PARTITION'} --save"
        for p in absent
    ]
    return f" ({'; '.join(hints)})" if hints else ""


def _field(name: str, value: Any) -> str:
    """Write a name and a value; what takes several lines begins below the name."""
    text = shown(value)
    sign = "" if name == "->" else " ="
    if "\n" in text:
        return f"  {name}{sign}\n" + "\n".join(f"      {line}" for line in text.splitlines())
    return f"  {name}{sign} {text}"


def shown(value: Any, lines: int = LINES) -> str:
    """Write a value for a person, cut to some lines."""
    if isinstance(value, Entity):
        where = f" in {value.partition_name}" if value.partition_name else ""
        return f"{str(value)!r}{where}{f', {dict(value.features)}' if value.features else ''}"
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Chunks):
        return (
            f"{len(value)} chunks, the first:\n{shown(next(iter(value)), lines)}"
            if len(value)
            else "no chunks"
        )
    if hasattr(value, "to_string"):  # DataFrame, Series
        size = " x ".join(map(str, value.shape))
        return f"{type(value).__name__} {size}\n{value.to_string(max_rows=lines - 2)}"
    text = pprint.pformat(dict(value) if isinstance(value, Mapping) else value, width=100, sort_dicts=False)
    rows = text.splitlines()
    if len(rows) <= lines:
        return text
    size = f", {len(value):,} items in all" if isinstance(value, Sized) else ""
    return "\n".join([*rows[:lines], f"... {len(rows) - lines:,} lines more{size}"])
