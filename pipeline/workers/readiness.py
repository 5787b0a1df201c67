"""Tells whoever started this worker that it takes messages now, and from then on that it is alive.

PIPELINE_READY_FILE names a file that is made when it is ready, PIPELINE_HEARTBEAT one that is touched as long as it
lives. Loaded into a worker by `celery worker -I pipeline.workers.readiness`.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from celery import signals

from pipeline.errors import SettingsError
from pipeline.local.supervise import READY
from pipeline.workers.heartbeat import Heartbeat


@signals.worker_init.connect
def _beat(**_: Any) -> None:
    """Begin in a thread: the main loop stands still while Redis is gone and while running tasks may end."""
    try:
        heartbeat = Heartbeat.from_env()
    except SettingsError as error:  # Celery would log it and go on
        sys.stderr.write(f"wave: {error}\n")
        sys.stderr.flush()
        os._exit(2)
    if heartbeat is not None:
        heartbeat.start()


@signals.worker_ready.connect
def _tell(**_: Any) -> None:
    if path := os.environ.get(READY):
        Path(path).touch()
