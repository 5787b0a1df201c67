"""Flows for tests in which Redis fails: what ran is written to a file, where no fault of Redis reaches it."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from pipeline import Flow, State, task

places = State("places", partition_by="country")


def note(name: str, entity: str) -> None:
    """Write down that a task began for an entity: one line in one write, so that processes do not mix theirs."""
    with Path(os.environ["WITNESS"]).open("ab", buffering=0) as file:
        file.write(f"{name} {entity}\n".encode())


@task(time_limit="60s")
def brief(entity: str) -> float:
    note("brief", entity)
    time.sleep(0.05)
    return float(len(entity))


@task(batch=True)
def half(brief: dict[str, float]) -> dict[str, float]:
    time.sleep(0.1)
    return {key: value / 2 for key, value in brief.items()}


@task(per="partition", batch=True)
def levelled(half: Any) -> dict[str, float]:
    found = {key: value for chunk in half for key, value in chunk.items()}
    return dict.fromkeys(found, sum(found.values()))


@task(batch=True, window={"brief": "3h"})
def windowed(brief: Any, levelled: Any = None) -> dict[str, float]:
    return {key: float(brief[key].sum()) for key in brief.columns}


steps = Flow("steps", [brief, half, levelled, windowed], state=places)


@task(time_limit="60s")
def lengthy(entity: str) -> int:
    note("lengthy", entity)
    time.sleep(6)
    return 1


lengthy_flow = Flow("lengthy", [lengthy])


@task
def keyed(entity: str) -> str:
    return f"<{entity}>"


@task
def again(keyed: str) -> str:
    return keyed * 2


@task
def oversized(entity: str) -> str:
    return "x" * (10 if entity.startswith("small") else 2_000_000)


@task
def after_oversized(oversized: str) -> int:
    return len(oversized)


keys = Flow("keys", [keyed, again])
big = Flow("big", [oversized, after_oversized])
forgotten = Flow("forgotten", [keyed], state=places, schedule="0 * * * *", expiry="3s")
