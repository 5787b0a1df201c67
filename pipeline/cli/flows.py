"""`wave flows` and `wave compile`."""

from __future__ import annotations

from pathlib import Path

import click

from pipeline.cli.options import json_option, only_option
from pipeline.cli.output import table, write_json
from pipeline.cli.session import Session, flow_argument, is_place, with_flows
from pipeline.flows.plan import compile_flow
from pipeline.flows.render import FORMATS, reads_as, shell


@click.command()
@json_option
@with_flows
def flows(session: Session, as_json: bool) -> None:
    """List the flows of PIPELINE_FLOWS or -F, with their schedules (UTC), states and tasks."""
    found = session.flows
    if as_json:
        write_json(
            [
                {
                    "flow": flow.name,
                    "schedule": flow.schedule,
                    "state": None if flow.state is None else flow.state.name,
                    "tasks": {name: list(reads_as(task)) for name, task in flow.tasks.items()},
                }
                for flow in found.values()
            ]
        )
        return
    if not found:
        click.echo("no flows: set PIPELINE_FLOWS=my_flows, or give -F my_flows.py")
        return
    rows = [
        [flow.name, flow.schedule or "", "" if flow.state is None else flow.state.name, ", ".join(flow.tasks)]
        for flow in found.values()
    ]
    table(["flow", "schedule", "state", "tasks"], rows)


@click.command("compile")
@flow_argument
@click.option(
    "--format",
    "form",
    type=click.Choice(list(FORMATS)),
    default="tree",
    show_default=True,
    help="How to write it.",
)
@only_option
@json_option
@with_flows
def compile_(session: Session, flow: str, form: str, only: tuple[str, ...], as_json: bool) -> None:
    """Show how FLOW is cut into canvases, series and parallel parts, and what waits that adds.

    sh is a script that runs the flow for one entity by hand, task by task: for debugging.
    """
    found = session.flow(flow)
    plan = compile_flow(found, only or None)
    form = "json" if as_json else form
    if form == "sh":
        text = shell(found, plan, flow if is_place(flow) else None, _command(session, flow))
    else:
        text = FORMATS[form](found, plan)
    click.echo(text, nl=False)


def _command(session: Session, flow: str) -> str:
    """Return the `wave` command with the options that the script needs to find the flow by its name."""
    if is_place(flow):
        return "wave"
    places = [str(Path(name).resolve()) if name.endswith(".py") else name for name in session.chosen.flows]
    return " ".join(["wave", *(f"-F {place}" for place in places)])
