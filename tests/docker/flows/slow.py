"""A flow that takes a while, so that a worker can be stopped in the middle of a wave."""

from __future__ import annotations

import time

from pipeline import Flow, task


@task
def reading(entity: str) -> int:
    """Answer at once."""
    return len(entity)


@task
def worked(reading: int) -> int:
    """Take a moment."""
    time.sleep(0.05)
    return 2 * reading


flow = Flow("slow", [reading, worked])
