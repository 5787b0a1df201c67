"""The `wave` command. A command's module is loaded when it is used, so that `wave --help` is quick.

Commands of other packages join by the entry-point group `pipeline.commands`. Uses all of the engine. Begin with
`group`, then the module named like the command; `session` is what each of them works with.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

import click

from pipeline.cli.group import CommandGroup
from pipeline.cli.options import flows_option, redis_option

# name -> (where it is, what it does); in the order in which `wave --help` shows them
COMMANDS = {
    "up": ("pipeline.cli.up:up", "Start workers, beat and Flower for some flows."),
    "flows": ("pipeline.cli.flows:flows", "List the flows that are found."),
    "submit": ("pipeline.cli.submit:submit", "Start a wave of a flow."),
    "backfill": ("pipeline.cli.backfill:backfill", "Run a flow for a range of past hours."),
    "ls": ("pipeline.cli.waves:ls", "List waves, the newest date first."),
    "show": ("pipeline.cli.show:show", "Show how a wave stands: tasks, statuses, reasons."),
    "watch": ("pipeline.cli.waves:watch", "Follow a wave until it has ended."),
    "top": ("pipeline.cli.top:top", "Show what runs now: waves, queues, workers, rates."),
    "cancel": ("pipeline.cli.waves:cancel", "Close a wave: what is open is no longer run."),
    "retry": ("pipeline.cli.waves:retry", "Run a wave's failed, skipped and expired entities again."),
    "run": ("pipeline.cli.run:run", "Run a flow for one entity in this process, to debug it."),
    "compile": ("pipeline.cli.flows:compile_", "Show how a flow is cut into parts, or write it as a script."),
    "pipe": ("pipeline.cli.pipes:pipe", "Show a stored pipe."),
    "state": ("pipeline.cli.states:state", "Show and change the entities of states."),
    "web": ("pipeline.cli.web:web", "Start the dashboard and the HTTP API."),
    "serve": ("pipeline.cli.serve:serve", "Start the HTTP API, and workers that hold models."),
    "serve-worker": ("pipeline.cli.serve:serve_worker", "Run one worker that holds a model."),
    "serving": ("pipeline.cli.serving:serving", "Show served models, and change who gets which traffic."),
    "alert": ("pipeline.cli.alert:alert", "Report what is wrong now, and notify a webhook or an SNS topic."),
    "doctor": ("pipeline.cli.doctor:doctor", "Check Redis, workers and beat, and say what to do."),
}


def _version() -> str:
    try:
        return version("celery-waves")
    except PackageNotFoundError:
        return "(not installed: run from its source)"


@click.group(
    cls=CommandGroup,
    commands_at=COMMANDS,
    entry_points="pipeline.commands",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="A FLOW is the name of a flow in PIPELINE_FLOWS or -F, or `module:flow`, or `file.py`. A WAVE is its id, or "
    "a flow's name for the newest one. Dates are hours in UTC, like 2013-06-25T13.",
)
@redis_option
@flows_option
@click.version_option(_version(), prog_name="wave", message="%(prog)s %(version)s")
def main() -> None:
    """Run flows over entities, hour by hour, and see how they stand."""
