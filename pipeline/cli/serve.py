"""`wave serve` and `wave serve-worker`: the HTTP API, and the workers that hold models."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

import click

from pipeline.allowed import ALLOW, Allowed
from pipeline.cli.children import choose_redis, run
from pipeline.cli.options import kind_option, version_option
from pipeline.cli.session import Session, with_redis
from pipeline.cli.web import address, check_installed, host_option, port_option, web_env
from pipeline.connections.sync_clients import PATIENCE, connect
from pipeline.errors import UnknownName
from pipeline.flows.pipe import check_version
from pipeline.formatting import length
from pipeline.local.processes import node_name, worker_env
from pipeline.local.supervise import READY
from pipeline.serving.app import DEFAULT_SLOTS, MODEL, SLOTS, worker_command
from pipeline.serving.catalogue import Catalogue, Entry, Source
from pipeline.serving.models import kind, kind_of, newest
from pipeline.serving.names import Place, check_name
from pipeline.workers.heartbeat import Heartbeat

EXAMPLE = ("mean", "example:mean")
LOOK = 1.0  # seconds between two looks for a model that is waited for
FIRST = "1"  # the version of a model whose version nobody names


@dataclass(frozen=True, slots=True)
class Added:
    """A version that the command line brings."""

    name: str
    path: str
    kind: str
    version: str

    def put(self, catalogue: Catalogue, options: Mapping[str, Any]) -> Entry:
        """Let the catalogue know it; options that are None stay as they are."""
        given = {name: value for name, value in options.items() if value is not None}

        def change(entry: Entry) -> Entry:
            known = entry.with_version(self.version, Source.of(self.kind, self.path))
            return replace(known, options=replace(known.options, **given))

        return catalogue.change(self.name, change, new=True)


def added(name: str, path: str, kind_name: str | None, version: str) -> Added:
    """Check what is added. Raises KeyFormatError and ModelFault."""
    check_name(name, "model")
    chosen = kind_name or kind_of(path)
    allowed = Allowed.from_env().also(named(path, chosen))
    kind(chosen, allowed)
    followed = newest(Source(chosen, path), allowed)
    if followed is not None:
        return Added(name, followed[1].path, chosen, followed[0])
    here = chosen != "callable" and os.path.exists(path)
    return Added(name, os.path.abspath(path) if here else path, chosen, version)


def named(path: str, chosen: str) -> Iterator[str]:
    """Yield what a command line allows by naming it: this class, this function, or this file and its folder."""
    if ":" in chosen:
        yield chosen
    elif chosen == "callable":
        yield path
    elif os.path.isfile(path):
        yield os.path.realpath(path)
        yield from {os.path.dirname(os.path.abspath(path))} - {"/"}


slots_option = click.option(
    "--slots",
    type=click.IntRange(1),
    metavar="N",
    default=DEFAULT_SLOTS,
    show_default=True,
    help="Calls to the model at a time, in threads that share it.",
)
batch_option = click.option(
    "--batch", type=click.IntRange(1), metavar="N", help="The most instances in one call. [default: 32]"
)
deadline_option = click.option(
    "--deadline",
    type=click.FloatRange(0.001),
    metavar="SECONDS",
    help="Time within which a request is answered; else it is refused at once. [default: 10]",
)
allow_option = click.option(
    "--allow",
    multiple=True,
    metavar="MODULE|FOLDER",
    help="What else a stored version may name: a module of yours, MODULE:NAME, or a folder of files, with a slash. "
    "May be given more than once. [also: PIPELINE_ALLOW]",
)


@click.command("serve-worker")
@click.argument("model")
@click.option(
    "--path", help="Where the model is: a file, or module:function. Needed once; the catalogue keeps it."
)
@kind_option
@click.option("--model-version", default=FIRST, show_default=True, help="The version that --path is.")
@slots_option
@batch_option
@deadline_option
@allow_option
@click.option("--wait", is_flag=True, help="Wait for MODEL if nobody has added it yet.")
@version_option
@with_redis
def serve_worker(
    session: Session,
    model: str,
    path: str | None,
    kind_name: str | None,
    model_version: str,
    slots: int,
    batch: int | None,
    deadline: float | None,
    allow: tuple[str, ...],
    wait: bool,
    version: str | None,
) -> None:
    """Run one worker that holds MODEL and answers its requests, until SIGTERM.

    Redis holds where each version is. The worker reads files in the folder of --path, in PIPELINE_MODELS and in
    those of --allow; it imports the function or class that --path or --kind names, and modules of --allow. It
    refuses everything else that Redis names, and `wave serving ls` says why.

    \b
    Examples:
      wave serve-worker delays --path models/delays.ubj --slots 4
      wave serve-worker delays --allow my_models
    """
    allowed = Allowed.from_env().also(allow)
    code = check_version(version or session.settings.any_version())
    catalogue = Catalogue(session.runtime.client, code)
    if path is not None:
        allowed = allowed.also(named(path, kind_name or kind_of(path)))
        added(model, path, kind_name, model_version).put(catalogue, {"batch": batch, "deadline": deadline})
    elif batch is not None or deadline is not None:
        given: dict[str, Any] = {"batch": batch, "deadline": deadline}
        given = {name: value for name, value in given.items() if value is not None}
        catalogue.change(model, lambda entry: replace(entry, options=replace(entry.options, **given)))
    elif wait:
        _wait_for(catalogue, model)
    else:
        catalogue.get(model)
    env = {**os.environ, **_worker_env(session.settings.redis_url, code, model, slots, allowed)}
    command = [*worker_command(Place(code, model).queue), "-n", node_name(f"serve-{model}")]
    sys.stdout.flush()
    os.execvpe(command[0], command, env)  # the signals of whoever started this reach the worker itself


def _wait_for(catalogue: Catalogue, model: str) -> None:
    """Wait until the catalogue has a model, so that a deployment may come before the model. Raises KeyFormatError."""
    check_name(model, "model")
    heartbeat, told = Heartbeat.from_env(), False
    while True:
        try:
            catalogue.get(model)
            return
        except UnknownName as error:
            if not told:
                click.echo(f"waiting: {error}", err=True)
            told = True
        if heartbeat is not None:
            heartbeat.tell()
        time.sleep(LOOK)


@click.command()
@click.argument("models", nargs=-1, metavar="[NAME[=PATH]]...")
@host_option
@port_option
@click.option(
    "--workers",
    type=click.IntRange(0),
    metavar="N",
    default=1,
    show_default=True,
    help="Workers for each model.",
)
@slots_option
@batch_option
@deadline_option
@allow_option
@version_option
@with_redis
def serve(
    session: Session,
    models: tuple[str, ...],
    host: str | None,
    port: int | None,
    workers: int,
    slots: int,
    batch: int | None,
    deadline: float | None,
    allow: tuple[str, ...],
    version: str | None,
) -> None:
    """Start the HTTP API, and a worker for each model: those that are named, else all that are served.

    Redis is that of REDIS_URL or --redis, or a private one where none is found. With nothing to serve, it serves an
    example model. `--workers 0` starts the API alone. Of what Redis names, workers read and import only what `wave
    serve-worker --help` says.

    \b
    Examples:
      wave serve
      wave serve delays=models/delays.ubj --slots 4
      wave serve --workers 0 --host 0.0.0.0
    """
    check_installed()
    paths = [path for _, _, path in (text.partition("=") for text in models) if path]
    allowed = Allowed.from_env().also(
        [*allow, *(entry for path in paths for entry in named(path, kind_of(path)))]
    )
    code = check_version(version or session.settings.any_version())
    chosen = web_env(host, port)
    with ExitStack() as stack:
        url = choose_redis(session, stack)
        catalogue = Catalogue(
            stack.enter_context(connect(url, session.settings.socket_timeout, PATIENCE)), code
        )
        names = _names(catalogue, models, {"batch": batch, "deadline": deadline}, workers)

        def commands() -> Iterator[tuple[str, Sequence[str], Mapping[str, str]]]:
            for name in names:
                for i in range(workers):
                    label = name if workers == 1 else f"{name}{i + 1}"
                    command = [*worker_command(Place(code, name).queue), "-n", node_name(label)]
                    yield label, command, _worker_env(url, code, name, slots, allowed)
            yield (
                "api",
                [sys.executable, "-m", "pipeline.web"],
                worker_env(url, session.settings.flows, code) | chosen,
            )

        def ready(seconds: float) -> None:
            click.echo(f"ready after {length(seconds)}, as version {code}; Ctrl-C ends it")
            if not models and names == [EXAMPLE[0]]:
                click.echo(
                    f"""  curl {address(chosen)}/v1/models/mean:predict -d '{{"instances": [[1, 2, 6]]}}'"""
                )

        raise click.exceptions.Exit(run(commands(), session.settings.drain + 5, ready))


def _names(
    catalogue: Catalogue, models: Sequence[str], options: Mapping[str, Any], workers: int
) -> list[str]:
    """Return the models to start workers for; those with a path are added. Raises UnknownName."""
    names = []
    for text in models:
        name, _, path = text.partition("=")
        if path:
            added(name, path, None, FIRST).put(catalogue, options)
        catalogue.get(name)
        names.append(name)
    known = list(catalogue.all())
    if not known and workers:
        Added(EXAMPLE[0], EXAMPLE[1], "callable", FIRST).put(catalogue, options)
        return [EXAMPLE[0]]
    return names or known


def _worker_env(url: str, code: str, model: str, slots: int, allowed: Allowed) -> dict[str, str]:
    found = worker_env(url, [], code) | {MODEL: model, SLOTS: str(slots), ALLOW: allowed.dump()}
    return found if READY not in os.environ else found | {READY: os.environ[READY]}
