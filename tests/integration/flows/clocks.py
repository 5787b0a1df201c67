"""A flow that is due each hour, for workers and beats whose clock is wrong."""

from __future__ import annotations

import threading
import time
from typing import Any

from pipeline import Flow, State, task

places = State("places", source=lambda: [f"p{n}" for n in range(4)])


@task(ttl="2h")
def look(entity: str) -> float:
    return 1.5


@task(ttl="2h")
def slow(entity: str) -> float:
    threading.Event().wait(1.0)  # time.sleep fails below libfaketime 0.9.10, with EINVAL
    return time.time()


@task(ttl="2h", batch=True, window={"look": "3h"})
def sums(look: Any) -> dict[str, float]:
    return {key: float(look[key].sum()) for key in look}


hourly = Flow("hourly", [look, slow, sums], state=places, schedule="0 * * * *")
