"""`wave up`: workers, beat and Flower as children of one command."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.util import find_spec

import click

from pipeline.app import KINDS
from pipeline.cli.children import choose_redis, run
from pipeline.cli.options import version_option
from pipeline.cli.session import Session, with_session
from pipeline.cli.web import address, check_installed, web_env
from pipeline.errors import FlowError, SettingsError, UnknownName, listed, near
from pipeline.flows import durations
from pipeline.flows.discover import Flows
from pipeline.flows.pipe import check_version
from pipeline.flows.task import COLLECT, SOLO
from pipeline.formatting import length, plural
from pipeline.local.processes import celery_command, node_name, worker_command, worker_env

GIVE_BACK = 5.0  # seconds after it has drained that a worker has to give back what it runs


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which processes to start."""

    workers: int
    concurrency: int  # of each worker
    queues: tuple[str, ...]  # kinds that the workers take from
    collect_threads: int  # of a worker more, for collection tasks; 0 for none
    solo: bool  # whether a worker more takes what must run alone, because it has killed a worker
    beat: bool
    flower: int | None  # its port
    web: bool
    level: str

    def commands(self, version: str) -> Iterator[tuple[str, list[str]]]:
        """Yield the name and the command line of each."""
        for i in range(self.workers):
            yield self._worker(version, f"worker{i + 1}", self.concurrency, self.queues)
        if self.collect_threads:
            yield self._worker(version, "collect", self.collect_threads, [COLLECT], "threads")
        if self.solo:
            yield self._worker(version, "solo", 1, [SOLO])
        if self.beat:
            yield "beat", celery_command("beat", "-l", self.level)
        if self.flower is not None:
            yield "flower", celery_command("flower", "--address=127.0.0.1", f"--port={self.flower}")
        if self.web:
            yield "web", [sys.executable, "-m", "pipeline.web"]

    def _worker(
        self, version: str, name: str, concurrency: int, queues: Iterable[str], pool: str = "prefork"
    ) -> tuple[str, list[str]]:
        command = worker_command(version, concurrency, queues, pool, ["-l", self.level])
        return name, [*command, "-n", node_name(name)]


@click.command()
@click.argument("file", required=False)
@click.option(
    "--workers", type=click.IntRange(1), metavar="N", default=1, show_default=True, help="How many workers."
)
@click.option(
    "--concurrency",
    type=click.IntRange(1),
    metavar="N",
    help="Processes of each. [default: one for each CPU, shared out]",
)
@click.option(
    "-Q", "--queues", metavar="KIND,...", help="Kinds of tasks they run. [default: all that the flows use]"
)
@click.option(
    "--collect-threads",
    type=click.IntRange(1),
    metavar="N",
    help="One more worker, with N threads, for collection tasks.",
)
@click.option("--no-beat", is_flag=True, help="Do not start waves on schedule.")
@click.option("--flower", is_flag=True, help="Start Flower.")
@click.option(
    "--flower-port", type=int, metavar="PORT", default=5555, show_default=True, help="Where Flower listens."
)
@click.option("--web", is_flag=True, help="Start the dashboard and the HTTP API.")
@click.option(
    "--web-port", type=click.IntRange(0, 65535), metavar="PORT", help="Where it listens. [default: 8000]"
)
@version_option
@click.option(
    "--drain",
    metavar="LENGTH",
    help="How long running tasks may take to finish at the end. [default: PIPELINE_DRAIN, else 25s]",
)
@click.option(
    "-l",
    "--loglevel",
    metavar="LEVEL",
    default="WARNING",
    show_default=True,
    help="Of Celery's own messages.",
)
@with_session
def up(
    session: Session,
    file: str | None,
    workers: int,
    concurrency: int | None,
    queues: str | None,
    collect_threads: int | None,
    no_beat: bool,
    flower: bool,
    flower_port: int,
    web: bool,
    web_port: int | None,
    version: str | None,
    drain: str | None,
    loglevel: str,
) -> None:
    """Start workers for the flows of FILE, -F or PIPELINE_FLOWS, and beat where one has a schedule.

    Redis is that of REDIS_URL or --redis, or a private one with `--redis embedded` or where none is found. Ctrl-C
    ends all of it once running tasks have finished; a second Ctrl-C gives them back to the queue at once.

    \b
    Examples:
      wave up my_flows.py --web
      wave up -F my_flows --workers 2 --concurrency 4 --collect-threads 16 --flower
      wave up -F my_flows -Q compute --no-beat
    """
    if file is not None:
        session.chosen.flows.append(file)
    flows = session.flows
    if not flows:
        raise FlowError(
            "no flow to run. Give a file (wave up my_flows.py), -F my_flows, or set PIPELINE_FLOWS."
        )
    version = check_version(version or session.settings.any_version())
    concurrency = concurrency or max(1, (os.cpu_count() or 1) // workers)
    kinds = _kinds(flows, concurrency) if queues is None else _chosen(flows, queues)
    wanted = Wanted(
        workers,
        concurrency,
        tuple(kind for kind in kinds if not (collect_threads and kind == COLLECT)),
        collect_threads or 0,
        queues is None and SOLO not in kinds,
        not no_beat and any(flow.schedule for flow in flows.values()),
        flower_port if flower else None,
        web,
        loglevel,
    )
    if flower and find_spec("flower") is None:
        raise SettingsError("Flower is not installed. Install it: pip install 'celery-waves[flower]'")
    if web:
        check_installed()
    at = web_env(None, web_port) if web else {}
    if flower and web and "PIPELINE_FLOWER_URL" not in os.environ:
        at["PIPELINE_FLOWER_URL"] = f"http://127.0.0.1:{flower_port}"
    limit = session.settings.drain if drain is None else durations.seconds(drain, "--drain")
    with ExitStack() as stack:
        url = choose_redis(session, stack)
        for flow in flows.values():
            click.echo(
                f"flow {flow.name}: {plural(len(flow.tasks), 'task')}, {_when(flow.schedule, wanted.beat)}"
            )
        env = worker_env(url, session.settings.flows, version) | at
        commands = [(name, command, env) for name, command in wanted.commands(version)]

        def ready(seconds: float) -> None:
            click.echo(f"ready after {length(seconds)}, as version {version}; Ctrl-C ends it")
            if at:
                click.echo(f"  dashboard: {address(at)}/")

        others = ("beat", "flower", "web")
        renewed = [name for name, _, _ in commands if name not in others]
        raise click.exceptions.Exit(run(commands, limit + GIVE_BACK, ready, ("beat", "flower"), renewed))


def _kinds(flows: Flows, concurrency: int) -> list[str]:
    """Return the kinds of queues that some flows use; what must run alone is for workers with one slot."""
    own = {task.queue for flow in flows.values() for task in flow.tasks.values()}
    return [*KINDS, *sorted(own - set(KINDS)), *([SOLO] if concurrency == 1 else [])]


def _chosen(flows: Flows, queues: str) -> list[str]:
    """Read the kinds that were asked for. Raises UnknownName for one that nothing is sent to."""
    chosen, known = [kind.strip() for kind in queues.split(",")], _kinds(flows, 1)
    for kind in chosen:
        if kind not in known:
            raise UnknownName(
                f"no task is of the kind {kind!r}.{near(kind, known)} There are: {listed(known)}."
            )
    return chosen


def _when(schedule: str | None, beat: bool) -> str:
    if schedule is None:
        return "no schedule: start its waves with `wave submit`"
    return f"schedule {schedule} (UTC){'' if beat else ', not started here'}"
