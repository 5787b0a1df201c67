"""What a run needs of its process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pipeline.flows.state import State
from pipeline.gate.gate import Gate
from pipeline.gate.rate_limiter import RateLimiter
from pipeline.gate.records import Records
from pipeline.store import Store
from pipeline.telemetry.tracing import OFF, Tracer


@dataclass(frozen=True)
class Tools:
    """The gate, the stores and the limits that a process' runs share."""

    gate: Gate
    records: Records
    store: Store
    rates: RateLimiter
    bind_state: Callable[[State], Any]  # what a task that asks for `state` gets
    tracer: Tracer = OFF
