"""Tells whoever started this worker that it takes messages now: a file that PIPELINE_READY_FILE names is made.

Loaded into a worker by `celery worker -I pipeline.ready`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from celery import signals

from pipeline.supervise import READY


@signals.worker_ready.connect
def _tell(**_: Any) -> None:
    if path := os.environ.get(READY):
        Path(path).touch()
