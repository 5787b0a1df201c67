"""A flow whose wave was due half an hour ago, and that nobody starts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from pipeline import Flow, State, task

DUE = datetime.now(UTC) - timedelta(minutes=30)


@task
def price(entity: str) -> int:
    return 1


overdue = Flow("overdue", [price], state=State("shops"), schedule=f"{DUE.minute} * * * *")
