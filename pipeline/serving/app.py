"""The Celery application of workers that serve models.

PIPELINE_SERVE=MODEL celery -A pipeline.serving.app worker -P solo -Q main.serve.MODEL

A worker loads the model once, and has slots (threads) of its own for it; Celery brings the messages. `wave
serve-worker` writes this command line.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from pipeline.app import make_app
from pipeline.settings import Settings

MODEL, SLOTS = "PIPELINE_SERVE", "PIPELINE_SERVE_SLOTS"
DEFAULT_SLOTS = 8

settings = Settings.from_env()
app = make_app(settings)
# One message waits in a worker while its slots are taken, so that the others go to workers that have free ones. What a
# dead worker had is asked again by its producer: to note it in Redis would be most of the cost of a message.
app.conf.update(
    include=["pipeline.serving.worker"],
    task_queues=None,
    worker_prefetch_multiplier=1,
    broker_transport_options=app.conf.broker_transport_options | {"ack_emulation": False},
)


def worker_command(queue: str, options: Sequence[str] = ()) -> list[str]:
    """Return the command line of a worker for a model's queue; it reads MODEL and SLOTS from its environment."""
    words = [
        sys.executable,
        "-m",
        "celery",
        "-q",
        "-A",
        "pipeline.serving.app",
        "worker",
        "-P",
        "solo",
        "-Q",
        queue,
    ]
    words += [
        "-l",
        "WARNING",
        "-I",
        "pipeline.workers.readiness",
        "--without-gossip",
        "--without-mingle",
        "--without-heartbeat",
    ]
    return [*words, *options]
