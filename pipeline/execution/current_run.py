"""What runs now: for code that a task calls and that needs more than the task's inputs, such as its earlier pipes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from pipeline.execution.inputs import Source


@dataclass(frozen=True, slots=True)
class Running:
    """The run of a task."""

    task: str  # its name, and that of the pipe it makes
    source: Source  # where it reads from: store, version, base and date


_current: ContextVar[Running | None] = ContextVar("running", default=None)


def running() -> Running | None:
    """Return the run that calls this, None outside of one; threads that the engine starts for the task know it too."""
    return _current.get()


@contextmanager
def during(task: str, source: Source) -> Iterator[None]:
    """Let `current_run` tell of this run until the block ends."""
    token = _current.set(Running(task, source))
    try:
        yield
    finally:
        _current.reset(token)
