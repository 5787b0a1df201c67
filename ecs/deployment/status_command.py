"""`wave ecs status|logs|scale`: what looks at an environment that is there, and sets its counts."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

import click

from ecs.deployment.aws_clients import clients
from ecs.deployment.deploy_command import place_options
from ecs.deployment.deployer import write
from ecs.deployment.errors import telling
from ecs.deployment.services import cluster_and_service, services
from ecs.deployment.services import scale as set_count
from ecs.deployment.stacks import Stacks
from ecs.templates.naming import Place
from pipeline.cli.options import json_option
from pipeline.cli.output import table, write_json
from pipeline.flows import durations

SERVICE = ("service", "desired", "running", "pending", "deployment")


@click.command()
@place_options
@json_option
def status(place: Place, region: str | None, as_json: bool) -> None:
    """Show the stacks of a stage, and the services of one environment."""
    made = clients(region)
    stacks = Stacks(made("cloudformation"))
    names = stacks.names(f"{place.project}-{place.stage}-")
    rows = _services(made, stacks, place) if place.stack in names else []
    if as_json:
        write_json({"stacks": names, "services": [dict(zip(SERVICE, row, strict=True)) for row in rows]})
        return
    table(["stack", "status"], [[name, each] for name, each in names.items()])
    if rows:
        write("")
        table(SERVICE, rows, right=["desired", "running", "pending"])


def _services(made: Any, stacks: Stacks, place: Place) -> list[list[Any]]:
    if "Cluster" not in stacks.outputs(place.stack):
        return []  # its first deployment has not ended well
    return [_row(each) for each in services(made, place).values()]


def _row(found: Any) -> list[Any]:
    newest = (found.get("deployments") or [{}])[0]
    counts = [found[key] for key in ("desiredCount", "runningCount", "pendingCount")]
    return [found["serviceName"], *counts, newest.get("rolloutState", "")]


@click.command()
@click.argument("role", required=False)
@place_options
@click.option("--since", default="10m", show_default=True, metavar="LENGTH", help="How far back.")
@click.option(
    "--limit", default=500, show_default=True, type=click.IntRange(1, 10_000), help="Lines at most."
)
def logs(role: str | None, place: Place, region: str | None, since: str, limit: int) -> None:
    """Print the log lines of an environment, or of one ROLE."""
    made = clients(region)
    stacks = Stacks(made("cloudformation"))
    if role is not None:
        cluster_and_service(made, place, role)  # an unknown one is told with those there are
    group = stacks.output(place.stack, "Logs")
    prefix = {} if role is None else {"logStreamNamePrefix": f"{role}/"}
    first = int((time.time() - durations.seconds(since, "--since")) * 1000)
    with telling(f"reading the log of {place.stack}"):
        pages = made("logs").get_paginator("filter_log_events")
        asked = pages.paginate(
            logGroupName=group, startTime=first, PaginationConfig={"MaxItems": limit}, **prefix
        )
        for event in (event for page in asked for event in page["events"]):
            at = datetime.fromtimestamp(event["timestamp"] / 1000, UTC)
            write(f"{at:%H:%M:%S} {event['logStreamName'].partition('/')[0]}  {event['message'].rstrip()}")


@click.command()
@click.argument("role")
@click.argument("count", type=click.IntRange(0))
@place_options
def scale(role: str, count: int, place: Place, region: str | None) -> None:
    """Set how many tasks a ROLE has now; autoscaling goes on from there."""
    set_count(clients(region), place, role, count)
    write(f"{place.stack}-{role}: {count} wanted")
