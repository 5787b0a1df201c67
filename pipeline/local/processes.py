"""Celery workers as child processes, and the command lines of all processes that a deployment has.

with Workers(url, flows=["my_flows.py"], count=2) as workers:
    workers.wait_ready()
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Self

from pipeline.local.supervise import PATIENCE, Child, Processes, Show

_ROOT_WARNING = "ignore:You're running the worker with superuser privileges"


class Workers(Processes):
    """Celery workers as child processes, for as long as the `with` block lasts.

    redis_url    broker and store
    flows        modules (`module[:flow]`) or files that hold the flows
    count        worker processes; each runs `concurrency` units at a time, in a pool of that kind
    version      the version whose queues they take from
    env          more of their environment
    queues       kinds of queues ("collect", "compute", "control" or one's own); all ordinary ones by default
    options      more options of `celery worker`
    """

    def __init__(
        self,
        redis_url: str,
        flows: Iterable[str] = (),
        count: int = 1,
        concurrency: int = 1,
        version: str = "main",
        env: Mapping[str, str] | None = None,
        queues: Iterable[str] | None = None,
        pool: str = "prefork",
        options: Sequence[str] = (),
        logs: Path | str | None = None,
        show: Show | None = None,
        patience: float = PATIENCE,
    ) -> None:
        super().__init__(logs, show, patience)
        self._env = worker_env(redis_url, flows, version) | dict(env or {})
        self._command = worker_command(version, concurrency, queues, pool, options)
        self._count = count

    def __enter__(self) -> Self:
        super().__enter__()
        try:
            for _ in range(self._count):
                self.add()
        except BaseException:
            self.__exit__(*sys.exc_info())
            raise
        return self

    def add(self) -> Child:
        """Start one more worker of the same kind, for instance in the place of one that was killed."""
        name = f"worker{len(self.children) + 1}"
        return self.start(name, [*self._command, "-n", node_name(name)], self._env)


def node_name(name: str) -> str:
    """Return a name for a Celery node that no other process of this machine uses."""
    return f"{name}-{os.getpid()}@%h"


def worker_env(redis_url: str, flows: Iterable[str], version: str) -> dict[str, str]:
    """Return the environment of a worker, beat or Flower."""
    return {
        "REDIS_URL": redis_url,
        "PIPELINE_FLOWS": ",".join(flows),
        "PIPELINE_VERSION": version,
        "PYTHONUNBUFFERED": "1",
        # Workers share the cores by processes; threads below each of them would only wait for one another.
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1"),
        # What Celery warns root of is unpickling, and our workers take JSON only.
        "PYTHONWARNINGS": ",".join(filter(None, [os.environ.get("PYTHONWARNINGS"), _ROOT_WARNING])),
    }


def celery_command(*words: str) -> list[str]:
    """Return the command line of one of Celery's commands with our application."""
    return [sys.executable, "-m", "celery", "-q", "-A", "pipeline.app", *words]


def worker_command(
    version: str, concurrency: int, queues: Iterable[str] | None, pool: str, options: Sequence[str] = ()
) -> list[str]:
    """Return the command line of a worker, without its name."""
    words = [
        "worker",
        "-P",
        pool,
        "-c",
        str(concurrency),
        "-l",
        "WARNING",
        "-I",
        "pipeline.workers.readiness",
    ]
    # Workers need not know of each other: the gate is where they meet.
    words += ["--without-gossip", "--without-mingle"]
    if queues is not None:
        words += ["-Q", ",".join(f"{version}.{kind}" for kind in queues)]
    return celery_command(*words, *options)
