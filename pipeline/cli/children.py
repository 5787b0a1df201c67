"""Processes that one command starts, shows and ends: what `wave up` and `wave serve` share."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import click
from redis import Redis
from redis.exceptions import RedisError

from pipeline.cli.session import Session
from pipeline.local.embedded import EmbeddedRedis
from pipeline.local.supervise import START_LIMIT, Processes
from pipeline.local_session import announced, nearby
from pipeline.settings import DEFAULT_REDIS_URL, without_secret
from pipeline.telemetry.logs import LOG, TEXT

EMBEDDED = "embedded"
NAME_COLOURS = ("cyan", "green", "magenta", "yellow", "blue")


def choose_redis(session: Session, stack: ExitStack) -> str:
    """Choose a Redis: the one that was named; else that of a `wave up` in this folder; else the default one if it
    answers; else a private one.
    """
    named = session.chosen.redis or os.environ.get("REDIS_URL")
    running = None if named else nearby()
    if named != EMBEDDED and (named or running or _answers(DEFAULT_REDIS_URL)):
        session.runtime.check()
        whose = ", of the `wave up` that runs in this folder" if running else ""
        click.echo(f"Redis: {without_secret(session.settings.redis_url)}{whose}")
        return session.settings.redis_url
    url = stack.enter_context(EmbeddedRedis()).url
    why = "" if named else f", because REDIS_URL is not set and nothing answers at {DEFAULT_REDIS_URL}"
    click.echo(f"Redis: a private one, gone with all its data when this ends{why}")
    if stack.enter_context(announced(url, session.settings.flows)):
        click.echo(
            f"  commands and programs in this folder find it and the flows; elsewhere: export REDIS_URL={url}"
        )
    else:
        click.echo(f"  for other commands: export REDIS_URL={url}")
    return url


def _answers(url: str) -> bool:
    with Redis.from_url(url, socket_connect_timeout=1, socket_timeout=1) as client, suppress(RedisError):
        return bool(client.ping())
    return False


def run(
    commands: Iterable[tuple[str, Sequence[str], Mapping[str, str]]],
    patience: float,
    ready: Callable[[float], None],
    silent: Sequence[str] = (),
    renewed: Sequence[str] = (),
) -> int:
    """Start all, wait for a signal or for a child that ends by itself, end all; returns the exit code.

    commands   name, command line and environment of each
    patience   seconds that they have at the end
    ready      is called with the seconds that it took until all said that they are ready
    silent     names of those that never say so
    renewed    names of those that are started anew when they end, unless they had never come up
    """
    # Their output is ours to show: it is for people where this one is.
    form = {LOG: TEXT} if sys.stdout.isatty() and LOG not in os.environ else {}
    with _interrupting(), Processes(show=_Shown(), patience=patience) as processes:
        try:
            began = time.monotonic()
            for name, command, env in commands:
                processes.start(name, command, {**form, **env})
            processes.wait_ready(START_LIMIT, [name for name in processes.names if name not in silent])
            ready(time.monotonic() - began)
            while not _ended(processes, renewed):
                time.sleep(0.1)
            for child in processes.ended():
                click.echo(f"wave: {child.name} ended by itself with exit code {child.code}", err=True)
            return 1
        except KeyboardInterrupt:
            return 0
        finally:
            _let_hurry(processes)


def _ended(processes: Processes, renewed: Sequence[str]) -> bool:
    """Return whether a child has ended for good; start those anew that are to go on."""
    for index, child in enumerate(processes.children):
        if child.code is None:
            continue
        if child.name not in renewed or not processes.renew(index):
            return True
        click.echo(f"wave: {child.name} ended with exit code {child.code} and is started anew", err=True)
    return False


def _let_hurry(processes: Processes) -> None:
    """From now on a signal makes the end quicker: children do not finish what they run, then they are killed."""
    stages = iter((signal.SIGQUIT, signal.SIGKILL))

    def quicker(*_: Any) -> None:
        processes.send(next(stages, signal.SIGKILL))

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, quicker)
    if len(processes.ended()) < len(processes.children):
        click.echo("ending; Ctrl-C again does not wait for running tasks", err=True)


@contextmanager
def _interrupting() -> Iterator[None]:
    """Let SIGTERM do what Ctrl-C does; afterwards all is as before."""
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, signal.default_int_handler) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


class _Shown:
    """Writes the children's lines: with their names in a terminal, as they are elsewhere."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._names: dict[str, str] = {}

    def __call__(self, name: str, line: str) -> None:
        with self._lock:
            if sys.stdout.isatty():
                colour = self._names.setdefault(name, NAME_COLOURS[len(self._names) % len(NAME_COLOURS)])
                line = f"{click.style(f'{name:<8}', fg=colour)} {line}"
            click.echo(line)
