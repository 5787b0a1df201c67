"""The flow that the simulator is compared with: two tasks that wait, as for an API, and nothing else."""

from __future__ import annotations

import time

from pipeline import Flow, State, task

FETCH, WORK = 0.020, 0.005  # seconds an entity


@task
def fetch(entity):
    """Wait for a source."""
    time.sleep(FETCH)
    return 1


@task
def work(fetch):
    """Wait a little more."""
    time.sleep(WORK)
    return fetch + 1


flow = Flow("calibration", [fetch, work], state=State("calibration"))
