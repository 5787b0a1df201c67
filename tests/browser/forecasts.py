"""Observations and forecasts to look at, as waves would have stored them, with hours in which no wave succeeded."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from datetime import datetime

import numpy as np

from pipeline.flows.pipe import ONE_HOUR
from pipeline.waves.runtime import Runtime

PIPE, OBSERVED = "sales_forecast", "sales"
WEEKS = 24 * 21  # hours of observations
ISSUED = 96  # hours of forecasts
FAR = 1e9  # seconds to live
WIDER = {80: 1.28, 95: 1.96}


def fill(
    runtime: Runtime, now: datetime, keys: Sequence[str], failed: Collection[int] = (), horizon: int = 24
) -> None:
    """Store what was observed up to the hour `now`, and the forecasts of the hours before; none of the failed ones.

    failed   hours before `now` whose waves made no forecast
    """
    rng = np.random.default_rng(7)
    noise = rng.normal(scale=6, size=(WEEKS + horizon, len(keys)))
    for back in range(WEEKS):
        at = now - back * ONE_HOUR
        values = {key: _level(at, i) + noise[back, i] for i, key in enumerate(keys)}
        runtime.store.put("main", OBSERVED, at, values, FAR)
    for back in set(range(ISSUED)) - set(failed):
        at = now - back * ONE_HOUR
        values = {key: _forecast(at, i, horizon, rng) for i, key in enumerate(keys)}
        runtime.store.put("main", PIPE, at, values, FAR)


def _level(at: datetime, i: int) -> float:
    return 120 + 10 * i + 60 * math.sin((at.hour - 9) * math.pi / 12) + (15 if at.weekday() > 4 else 0)


def _forecast(at: datetime, i: int, horizon: int, rng: np.random.Generator) -> dict[str, object]:
    drift = rng.normal(scale=3)
    leads = range(1, horizon + 1)
    mean = [_level(at + lead * ONE_HOUR, i) + drift for lead in leads]
    found: dict[str, object] = {"mean": mean, "of": OBSERVED, "model": "2026-11-19T03-1b2c3d4e"}
    for level, width in WIDER.items():
        spread = [width * (5 + 4 * math.sqrt(lead)) for lead in leads]
        found |= {
            f"lo-{level}": [m - s for m, s in zip(mean, spread, strict=True)],
            f"hi-{level}": [m + s for m, s in zip(mean, spread, strict=True)],
        }
    return found
