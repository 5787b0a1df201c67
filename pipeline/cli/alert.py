"""`wave alert`."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import asdict

import click

from pipeline.cli.options import json_option
from pipeline.cli.output import table, write_json
from pipeline.cli.session import Session, with_session
from pipeline.flows import durations
from pipeline.monitoring.alert_channels import channels
from pipeline.monitoring.alert_delivery import Teller, look
from pipeline.monitoring.alert_rules import CRITICAL, Alert, Bounds
from pipeline.waves.runtime import Runtime


@click.command()
@click.option("--every", metavar="LENGTH", help="Look again and again, every 60s for instance, until Ctrl-C.")
@click.option("--quiet", is_flag=True, help="Only show it; notify nobody.")
@json_option
@with_session
def alert(session: Session, every: str | None, quiet: bool, as_json: bool) -> None:
    """Report what is wrong now: late waves, failures, incidents, short cover, queues without workers, a full Redis.

    \b
    Each beginning and each end is reported once, however many processes look, to
      PIPELINE_ALERT_WEBHOOK    a URL that takes JSON
      PIPELINE_ALERT_TOPIC      the ARN of an SNS topic (extra [aws])
    Beat reports by itself where one of these is set. Bounds:
      PIPELINE_ALERT_LATE       how long after it was due a wave may end [15m]
      PIPELINE_ALERT_FAILED     share of a task's entities that may fail [0.05]
      PIPELINE_ALERT_COVER      how long forecasts must still last [6h]
      PIPELINE_ALERT_INCIDENTS  lost, hung or late runs of a flow within 15 minutes [5]
      PIPELINE_ALERT_MEMORY     share of a Redis' memory that may be in use [0.85]

    The exit code is 0 where all is well, 1 with warnings, 2 where something is critical or cannot be looked at.
    """
    bounds, tell = Bounds.from_env(os.environ), [] if quiet else channels()
    pause = None if every is None else durations.seconds(every, "--every")
    flows, runtime = session.flows.values(), Runtime(session.settings, patience=1.0)
    teller = Teller(runtime, flows, tell, bounds)
    shown: list[Alert] | None = None
    while True:
        found = teller.look() if tell else look(runtime, flows, bounds)[0]
        if pause is None:
            _write(found, as_json)
            raise click.exceptions.Exit(exit_code(found))
        if shown is None or [(a.what, a.about) for a in found] != [(a.what, a.about) for a in shown]:
            shown = found
            _write(found, as_json)
        time.sleep(pause)


def exit_code(found: Sequence[Alert]) -> int:
    """0 without alerts, 1 with warnings, 2 with a critical one."""
    return 0 if not found else 2 if any(one.level == CRITICAL for one in found) else 1


def _write(found: Sequence[Alert], as_json: bool) -> None:
    if as_json:
        write_json([asdict(one) for one in found])
    elif found:
        table(["level", "what", "about", "says"], [[a.level, a.what, a.about, a.text] for a in found])
    else:
        click.echo("nothing is wrong")
