"""A flow whose tasks log, print and fail."""

from __future__ import annotations

import logging

from pipeline import Flow, State, task

log = logging.getLogger("users.own")


@task(concurrency=4)
def source(entity: str) -> int:
    if entity == "shop-0007":
        log.warning("strange %s", entity)
    if int(entity[-4:]) % 10 == 0:
        raise ConnectionError(f"no data for {entity}")
    return 1


@task
def doubled(source: int) -> int:
    if source == 1:
        print("doubling")
    return 2 * source


@task(batch=True)
def broken(doubled: dict[str, int]) -> dict[str, int]:
    raise ValueError("always")


talking = Flow("talking", [source, doubled, broken], state=State("shops"))
