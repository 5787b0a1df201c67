"""The same chord as a flow."""

from __future__ import annotations

from pipeline import Flow, task
from tests.chaos.plain import misbehave


@task
def fine(entity: str) -> int:
    return 1


@task
def faulty(entity: str) -> int:
    misbehave(entity)
    return 1


@task(timeout="5m")
def body(fine: int, faulty: int | None = None) -> str:
    return "body ran"


flow = Flow("hangs", [fine, faulty, body])
