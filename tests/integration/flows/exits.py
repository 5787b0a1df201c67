"""Flows whose code asks for the end of its process."""

from __future__ import annotations

import argparse
import asyncio
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NoReturn

from pipeline import Flow, State, submit_wave, task


class Ends(BaseException):
    """What passes every `except Exception`."""


def usage() -> NoReturn:
    """Refuse a command line, as argparse does: on stderr, with exit code 2."""
    argparse.ArgumentParser(prog="tool").error("no such option")


def in_a_thread() -> None:
    """End only a thread, as in any program."""
    thread = threading.Thread(target=sys.exit, args=(7,))
    thread.start()
    thread.join()


def in_an_executor() -> None:
    with ThreadPoolExecutor(1) as pool:
        pool.submit(sys.exit, "from an executor").result()


def throw(error: BaseException) -> NoReturn:
    raise error


ACTS: dict[str, Callable[[], object]] = {
    "exit": lambda: sys.exit(3),
    "text": lambda: throw(SystemExit("no licence")),
    "bare": lambda: sys.exit(),
    "argparse": usage,
    "quit": lambda: quit(),
    "interrupt": lambda: throw(KeyboardInterrupt()),
    "generator": lambda: throw(GeneratorExit("closed")),
    "cancelled": lambda: throw(asyncio.CancelledError()),
    "own": lambda: throw(Ends("of the user's own")),
    "executor": in_an_executor,
    "thread": in_a_thread,
}


def act(entity: str) -> None:
    """Do what an entity is named after."""
    ACTS.get(entity, str)()


@task
def each(entity: str) -> int:
    act(entity)
    return 1


@task(concurrency=3)
def threaded(entity: str) -> int:
    act(entity)
    return 1


@task(batch=True)
def whole(entity: list[str]) -> dict[str, int]:
    for key in entity:
        act(key)
    return dict.fromkeys(entity, 1)


@task(per="wave")
def scoped(each: object) -> int:
    sys.exit("no licence for all")


@task
def after(each: int, threaded: int, whole: int) -> int:
    return each + threaded + whole


def keys() -> Iterator[str]:
    yield "a"
    sys.exit("the list is closed")


exits = Flow("exits", [each, threaded, whole, scoped, after])
unlisted = Flow("unlisted", [each], state=State("unlisted", source=keys))


@task
def waits(entity: str) -> int:
    return submit_wave(exits, date="2026-05-01T09", entities=["first"]).wait(30).progress().total


@task
def submits(entity: str) -> str:
    return submit_wave(exits, date="2026-05-01T09", entities=["first"]).id


nested = Flow("nested", [waits, submits])
