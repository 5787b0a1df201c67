"""What a command shows while a person waits: a bar, or that it is at work. On stderr, and only in a terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

T = TypeVar("T")


def _console() -> Console | None:
    """Return the console of stderr, so that what goes to stdout stays what it is; None where nobody looks."""
    return Console(stderr=True) if sys.stderr.isatty() else None


def progress_bar(console: Console, *more: TextColumn, transient: bool = False) -> Progress:
    """Build the bar that all commands show: how many of how many, since when, for how long still."""
    times = (TimeElapsedColumn(), TextColumn("left:"), TimeRemainingColumn())
    name = TextColumn("{task.description}")
    return Progress(
        name, BarColumn(), MofNCompleteColumn(), *times, *more, console=console, transient=transient
    )


def counted(items: Iterable[T], what: str, total: int | None = None) -> Iterator[T]:
    """Yield the items, with a bar that counts those that are done with. It is gone at the end."""
    console, found = _console(), list(items) if total is None else items
    if console is None:
        yield from found
        return
    with progress_bar(console, transient=True) as shown:
        yield from shown.track(found, total=total, description=what)


@contextmanager
def busy(what: str) -> Iterator[None]:
    """Show meanwhile that something is done that cannot be counted."""
    console = _console()
    if console is None:
        yield
        return
    with console.status(what):
        yield
