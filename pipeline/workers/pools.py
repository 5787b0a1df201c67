"""Process pools inside of tasks: allowed in the children of a worker, and gone with whoever owned them."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing import context, process
from pathlib import Path
from typing import Any

from pipeline.errors import SettingsError
from pipeline.execution.child_processes import end_children

OWNER = "PIPELINE_POOL_CHILD"  # in the environment of all that a child starts: the child's process id
AFTER = 2.0  # seconds in which a child that is stopped has ended
_PDEATHSIG = 1  # of prctl


def refuse_green(pool: Any) -> None:
    """Raise SettingsError for a pool of gevent or eventlet, under which neither a time limit nor a keeper holds."""
    name = pool if isinstance(pool, str) else pool.__module__
    for kind in ("gevent", "eventlet"):
        if kind in name.lower():
            raise SettingsError(
                f"a worker cannot run in a pool of {kind}: one task that computes would hold up all others, their time "
                "limits and the keeper. Use -P prefork, or -P threads for tasks that wait for others' servers."
            )


def prefer_forkserver() -> None:
    """Let `multiprocessing` start processes from a clean server, unless the user's code chooses otherwise.

    A fork of a worker in which XGBoost, say, has started OpenMP's threads waits for ever for threads it does not have.
    """
    context._default_context._default_context = multiprocessing.get_context("forkserver")  # type: ignore[attr-defined]
    multiprocessing.set_forkserver_preload(["pipeline.workers.with_parent"])


def allow_pools() -> None:
    """Let this child of a worker have children, and end with the worker."""
    die_with_parent()
    os.register_at_fork(after_in_child=die_with_parent)  # what is started as a program, OWNER marks
    os.environ[OWNER] = str(os.getpid())
    this = multiprocessing.current_process()
    this._config["daemon"] = False  # type: ignore[attr-defined]
    # billiard's own key cannot be handed to a process of the standard library's.
    this._config["authkey"] = process.AuthenticationString(bytes(this.authkey))  # type: ignore[attr-defined]


@contextmanager
def closing_pools() -> Iterator[None]:
    """End what the block has started and left, in a child of a worker; elsewhere others run beside it."""
    try:
        yield
    finally:
        if os.environ.get(OWNER) == str(os.getpid()):
            end_children()


def die_with_parent() -> None:
    """Let the system kill this process when its parent has died, where it can (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PDEATHSIG, signal.SIGKILL)


def end_orphans_soon(owner: int) -> None:
    """Kill what a child has left behind, once it has been stopped."""
    timer = threading.Timer(AFTER, end_orphans, [owner])
    timer.daemon = True
    timer.start()


def end_orphans(owner: int) -> None:
    """Kill what a child has left behind that was started as a program, as `spawn` and joblib do."""
    mark = f"{OWNER}={owner}".encode()
    for path in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):  # it has ended, or is not ours
            if mark in path.read_bytes().split(b"\0"):
                os.kill(int(path.parent.name), signal.SIGKILL)
