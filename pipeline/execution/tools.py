"""What a run needs of its process."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

from pipeline.flows.left_out import LeftOut
from pipeline.flows.state import State
from pipeline.gate.gate import Gate
from pipeline.gate.rate_limiter import RateLimiter
from pipeline.gate.records import Records
from pipeline.gate.units import Unit
from pipeline.store import Store
from pipeline.telemetry.tracing import OFF, Tracer

# Watches a run (its wave, unit and time limit, and whether it runs alone) from outside of this process.
Watch = Callable[[str, Unit, float, bool], AbstractContextManager[None]]


def unwatched(wave_id: str, unit: Unit, limit: float, alone: bool) -> AbstractContextManager[None]:
    """Leave a run to its process, which has a parent that ends it, or nobody who waits for it."""
    return nullcontext()


@dataclass(frozen=True)
class Tools:
    """The gate, the stores and the limits that a process' runs share."""

    gate: Gate
    records: Records
    store: Store
    rates: RateLimiter
    bind_state: Callable[[State, LeftOut], Any]  # what a task that asks for `state` gets
    tracer: Tracer = OFF
    watch: Watch = unwatched
