"""Processes that a task's own pools start: none outlives its task."""

from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Collection
from multiprocessing import util
from multiprocessing.process import BaseProcess

# joblib keeps its processes for the next call, in one of these modules.
_KEPT = ("joblib.externals.loky.reusable_executor", "loky.reusable_executor")


def children() -> frozenset[BaseProcess]:
    """Return the processes that this one has started by `multiprocessing`, or by what builds upon it."""
    return frozenset(multiprocessing.active_children())


def kill_workers(before: Collection[BaseProcess]) -> None:
    """Kill what a call has started and might wait for when it is interrupted: the processes of executors, its own.

    Those of a `multiprocessing.Pool` are daemons. It ends them itself, and waits for ever where others do.
    """
    for child in children() - set(before):
        if not child.daemon:
            child.kill()


def end_children() -> None:
    """End all that is left, as the end of a program does, but without waiting for work that nobody waits for."""
    for name in _KEPT:
        executor = getattr(sys.modules.get(name), "_executor", None)
        if executor is not None:
            executor.shutdown(wait=True, kill_workers=True)
    if not children():
        return
    util._run_finalizers(0)  # type: ignore[attr-defined]  # pools that a module still holds
    for child in children():
        child.kill()
        child.join()
