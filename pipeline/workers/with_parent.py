"""Loaded into the server from which `multiprocessing` forks: it ends with its owner, and what it forks with it.

By itself the server waits until all that it has forked is gone, which nobody ends any more. It is single-threaded, so
that no end of a thread is taken for its own; it was started by any thread of its owner, so that it looks for itself.
"""

from __future__ import annotations

import os
import signal
from typing import Any

from pipeline.workers.pools import die_with_parent

EVERY = 1.0  # seconds between two looks
_owner = os.getppid()


def _look(*_: Any) -> None:
    if os.getppid() != _owner:
        os.kill(os.getpid(), signal.SIGKILL)


def _begin() -> None:
    """Prepare what was just forked."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    die_with_parent()


os.register_at_fork(after_in_child=_begin)
signal.signal(signal.SIGALRM, _look)
signal.setitimer(signal.ITIMER_REAL, EVERY, EVERY)
