"""`wave submit`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import click

from pipeline.cli.options import base_option, json_option, only_option, state_option, version_option
from pipeline.cli.output import write_json
from pipeline.cli.session import HOUR, Session, check_past, flow_argument, with_session
from pipeline.cli.waiting import busy
from pipeline.cli.watching import exit_code, follow, outcome
from pipeline.errors import PipelineError
from pipeline.flows.left_out import LeftOut
from pipeline.flows.state import State
from pipeline.formatting import plural
from pipeline.monitoring.queue_coverage import slots_of, untaken
from pipeline.waves.submit import submit_wave
from pipeline.waves.wave import Wave


@click.command()
@flow_argument
@click.option("--date", type=HOUR, help="Hour that it is about, UTC. [default: this hour]")
@state_option
@click.option(
    "-e", "--entity", "entities", metavar="KEY", multiple=True, help="Only this entity. May be repeated."
)
@version_option
@base_option
@only_option
@click.option("--force", is_flag=True, help="Accept a date later than the present hour, too.")
@click.option("--wait", is_flag=True, help="Wait until it has ended; exit code 1 unless all is well.")
@json_option
@with_session
def submit(
    session: Session,
    flow: str,
    date: datetime | None,
    state: str | None,
    entities: tuple[str, ...],
    version: str | None,
    base: str | None,
    only: tuple[str, ...],
    force: bool,
    wait: bool,
    as_json: bool,
) -> None:
    """Start a wave of FLOW.

    The same wave is never started twice: submitting it again returns the one that is there.

    \b
    Examples:
      wave submit delays
      wave submit delays --date 2013-06-25T13 -e JFK-LAX -e JFK-BOS --wait
      wave submit delays --version fix-weather --base main --only delay_forecast
    """
    if date is not None and not force:
        check_past(session, date, "Give an earlier one, or --force if it is meant.")
    found, runtime = session.flow(flow), session.runtime
    over = None if state is None else session.state(state, found)
    left = LeftOut()
    own = _features(session, over or found.state, entities, left) if entities else None
    began = runtime.client.time()
    with busy("submitting"):
        wave = submit_wave(found, date, over, own, version, base, only or None, runtime=runtime)
    new = wave.info().submitted >= began[0] + began[1] / 1e6 - 0.001
    text = "" if wave.closed else untaken(wave.spec, slots_of(runtime, wave.spec, wave.spec.plan.steps))
    if text:
        click.echo(f"wave: {text}", err=True)
    if wait:
        if as_json:
            wave.wait()
        else:
            follow(wave)
    if as_json:
        write_json(outcome(wave.progress()) | {"new": new})
    elif not wait:
        _say(wave, new)
    left.take(wave.left_out())
    for line in left.lines():
        click.echo(f"wave: left out: {line}", err=True)
    lacking = bool(entities and left)  # of those that were named here
    if wait or lacking:
        raise click.exceptions.Exit(1 if lacking else exit_code(wave.progress()))


def _features(
    session: Session, state: State | None, entities: Sequence[str], left: LeftOut
) -> Mapping[str, Any]:
    """Take the entities' features from the state, where it holds them; whom it does not hold is left out.

    Raises UnknownName where it holds none of them.
    """
    registry = None if state is None else session.runtime.states.bind(state)
    if registry is None or (registry.state.partition_by is None and not len(registry)):
        return {key: {} for key in entities}
    found = {}
    for key in entities:
        try:
            found[key] = registry.features(key)
        except PipelineError as error:
            left.add(key, error)
    if left.error is not None and not found:
        raise left.error
    return found


def _say(wave: Wave, new: bool) -> None:
    info, spec = wave.info(), wave.spec
    if info.reason == "empty":
        where = f"state {spec.state!r} holds no entities" if spec.state else "it has no entities"
        click.echo(f"{wave.id}: ended at once, because {where}. `wave state add` adds them.")
        return
    size = f"{plural(spec.entities, 'entity', 'entities')} in {plural(len(spec.sizes), 'shard')}"
    click.echo(f"{wave.id}: {'submitted' if new else f'was submitted before and is {info.state}'}, {size}")
    if new:
        click.echo(f"  wave watch '{wave.id}'")
