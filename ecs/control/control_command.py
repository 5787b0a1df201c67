"""`wave ecs control`, or `python -m ecs.control.control_command`: the control service."""

from __future__ import annotations

import logging
import os
import signal
import uuid
from contextlib import suppress
from dataclasses import asdict

import click
from redis.exceptions import RedisError

from ecs.control.controller import Controller, Decision
from ecs.control.scaling import Aws
from ecs.control.services import CLUSTER, VARIABLE, Cluster
from pipeline.cli.output import table
from pipeline.cli.session import Session, with_session
from pipeline.connections.sync_clients import WORKER_PATIENCE
from pipeline.execution.runner import Runner
from pipeline.execution.tools import Tools
from pipeline.waves.keeper import Keeper
from pipeline.waves.presence import KEEPER, Presence, Process
from pipeline.waves.runtime import Runtime
from pipeline.workers.heartbeat import Heartbeat

HEAD = ("service", "backlog", "messages", "in_flight", "planned", "desired", "running", "wanted", "count")


@click.command(epilog='A service is {"name", "queues", "slots", "least", "most", "startup", "goal", ...}.')
@click.option("--cluster", metavar="NAME", help=f"The cluster, instead of {CLUSTER}.")
@click.option("--services", metavar="JSON", help=f"The services and their queues, instead of {VARIABLE}.")
@click.option("--every", type=click.FloatRange(0.1), default=10.0, show_default=True, metavar="SECONDS")
@click.option("--once", is_flag=True, help="Run one round, show what it decided, and end.")
@with_session
def control(session: Session, cluster: str | None, services: str | None, every: float, once: bool) -> None:
    """Publish the queues' backlog, keep deadlines, and start tasks ahead of waves.

    Runs beside an otherwise empty cluster. Every ten seconds it measures the work before each service, and raises the
    service's desired count to what the open waves and those that are due soon need to end in time. It lowers a count
    only for a service with "scale_in": true, and then slowly.
    """
    chosen = _cluster(cluster, services)
    session.runtime.check()
    runtime = Runtime(session.settings, WORKER_PATIENCE)
    heartbeat = None if once else Heartbeat.from_env()
    controller = Controller(runtime, chosen, Aws.of(chosen.name), session.flows.values(), every, heartbeat)
    if once:
        _show(controller.round())
        with suppress(RedisError):
            controller.leave()
        return
    _run(controller, _keeper(session, runtime))


def _cluster(name: str | None, services: str | None) -> Cluster:
    """Take what is given, the rest from the environment."""
    given = {CLUSTER: name, VARIABLE: services}
    return Cluster.from_env({**os.environ, **{key: value for key, value in given.items() if value}})


def _run(controller: Controller, keeper: Keeper) -> None:
    """Run both until SIGTERM or Ctrl-C."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    signal.signal(signal.SIGTERM, lambda *_: controller.stop())
    signal.signal(signal.SIGINT, lambda *_: controller.stop())
    keeper.start()
    try:
        controller.run()
    finally:
        keeper.stop()
        with suppress(RedisError, OSError):
            controller.leave()


def _keeper(session: Session, runtime: Runtime) -> Keeper:
    """Build a keeper that runs nothing itself: it holds no leases, and sends what is due to the queues."""
    tools = Tools(
        runtime.gate, runtime.records, runtime.store, runtime.rates, runtime.states.bind, runtime.tracer
    )
    runner = Runner(tools, session.flows, uuid.uuid4().hex[:12], session.settings.lease)
    presence = Presence(runtime.client, Process.this(KEEPER, session.settings.any_version()))
    return Keeper(runner, runtime.sender, lambda: (), session.settings.keeper, presence)


def _show(decisions: list[Decision] | None) -> None:
    if decisions is None:
        click.echo("another control service leads")
        return
    rows = [asdict(one) for one in decisions]
    table(HEAD, [[_cell(row[name]) for name in HEAD] for row in rows], right=HEAD[1:])


def _cell(value: object) -> str:
    return f"{value:.1f}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    control(prog_name="python -m ecs.control.control_command")
