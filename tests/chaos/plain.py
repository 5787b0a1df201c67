"""A plain Celery chord, with the settings that its documentation recommends for reliable work."""

from __future__ import annotations

import os
import signal
from typing import Any

from celery import Celery, Task
from celery.exceptions import Ignore
from redis import Redis

URL = os.environ.get("REDIS_URL", "redis://127.0.0.1:6379/0")
# Who only sends may follow no results, so that it can end without complaints of them.
app = Celery("plain", broker=URL, backend=os.environ.get("PLAIN_BACKEND", URL))
app.conf.update(
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=1,
    broker_connection_retry_on_startup=True,
    worker_enable_remote_control=True,
)


def once(name: str) -> bool:
    """True the first time that somebody asks."""
    with Redis.from_url(URL) as client:
        return bool(client.set(f"once {name}", 1, nx=True))


def misbehave(case: str) -> None:
    """Do in a header's task what the case asks for."""
    if case == "raises":
        raise ValueError("no data")
    if case == "ignores":
        raise Ignore
    if case == "child" and once(case):
        os.kill(os.getpid(), signal.SIGKILL)
    if case == "main" and once(case):
        os.kill(os.getppid(), signal.SIGKILL)
        os.kill(os.getpid(), signal.SIGKILL)


@app.task
def fine(case: str) -> int:
    return 1


@app.task
def faulty(case: str) -> int:
    misbehave(case)
    return 1


@app.task(bind=True)
def body(self: Task, values: list[Any], case: str) -> None:
    with Redis.from_url(URL) as client:
        client.set(f"ended {case}", "body ran")


@app.task
def failed(request: Any, error: Any, trace: Any, case: str) -> None:
    with Redis.from_url(URL) as client:
        client.set(f"ended {case}", "error callback, no body")
