"""Shops whose demand is forecast: the flows, and the history that their models are fitted to."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from pipeline.flows.pipe import ONE_HOUR
from pipeline.waves.runtime import Runtime

FLOWS = str(Path(__file__).parents[1] / "integration" / "flows" / "shops.py")
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SHOPS = {f"{region}-{n}": {"region": region} for region in ("north", "south") for n in range(3)}


def load_history(runtime: Runtime) -> None:
    """Put what hourly waves would have stored."""
    rng = np.random.default_rng(7)
    for back in range(1, 24 * 15):
        date = NOW - back * ONE_HOUR
        values = {key: 50.0 + date.hour + 5 * rng.normal() for key in SHOPS}
        runtime.store.put("main", "demand", date, values, 1e9)
