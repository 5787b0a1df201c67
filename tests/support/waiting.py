"""Waiting on a condition with a limit; the error tells what was waited for, and what the processes meanwhile said."""

from __future__ import annotations

import gc
import inspect
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from pipeline.local.supervise import Child, Processes

PLAIN = (bool, int, float, str, Path)  # values that an error shows


def until(condition: Callable[[], object], limit: float = 20.0) -> None:
    """Wait until it holds; fails when it does not within the limit (seconds)."""
    deadline = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < deadline, late(condition, limit)
        time.sleep(0.02)


def late(condition: Callable[[], object], limit: float) -> str:
    """Tell that it did not hold in time: its source, the values in it, the end of what each running child wrote."""
    lines = [f"not within {limit:g} s: {_source(condition)}"]
    lines += [f"where {name} = {repr(value)[:120]}" for name, value in _values(condition)]
    return "\n".join([*lines, *written()])


def written() -> Iterator[str]:
    """Give the end of what each child of this process wrote."""
    for child in _children():
        state = "runs" if child.code is None else f"ended with exit code {child.code}"
        yield f"{child.name} {state}. It said:\n{child.tail()}"


def _source(condition: Callable[[], object]) -> str:
    try:
        text = inspect.getsource(condition)
    except (OSError, TypeError):  # it was not written in a file, or is not a function
        return repr(condition)
    return textwrap.shorten(text, 300, placeholder=" ...")


def _values(condition: Callable[[], object]) -> Iterator[tuple[str, object]]:
    if inspect.isfunction(condition) or inspect.ismethod(condition):
        for name, value in inspect.getclosurevars(condition).nonlocals.items():
            if isinstance(value, PLAIN):
                yield name, value


def _children() -> Iterator[Child]:
    # Found among all objects, so that no test has to say which of its processes may be the one that does not answer.
    for found in gc.get_objects():
        if issubclass(type(found), Processes):
            yield from found.children
