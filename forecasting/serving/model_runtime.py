"""A trained model of the registry behind `wave serve-worker`: forecasts from histories that a request brings along.

wave serve-worker delays --kind forecast --path delay/JFK

An instance is one series: {"unique_id": "shop-1", "ds": "2026-04-01T07", "y": [...]}, hourly and oldest first; `ds` is
the hour of the last number, null a missing one. Its prediction holds `mean` and the bounds, a number a lead. What is
live in the registry is what is served; a promotion or a rollback there is taken up within seconds.
"""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import pandas as pd

from forecasting.errors import ModelError
from forecasting.features.panel import Panel
from forecasting.registry import process_registry
from forecasting.registry.estimator_calls import forecasts_of
from pipeline.flows.pipe import hour

LONGEST = 24 * 366 * 3  # hours of one series


class ForecastModel:
    """One version of a model of one partition."""

    def __init__(self, model: Any, version: str, pipe: str) -> None:
        self._model, self._version, self._pipe = model, version, pipe

    @classmethod
    def load(cls, path: str) -> Self:
        """Load PIPE/PARTITION@VERSION, or what is live of PIPE/PARTITION. Raises ModelError."""
        (pipe, partition), version = _place(path)
        registry = process_registry()
        version = version or registry.live(pipe, partition)
        return cls(registry.fresh(pipe, partition, version), version, pipe)

    @classmethod
    def newest(cls, path: str) -> tuple[str, str]:
        """Return the version that is to be served now, and its path. Raises ModelError."""
        (pipe, partition), _ = _place(path)
        version = process_registry().live(pipe, partition)
        return version, f"{pipe}/{partition}@{version}"

    def predict(self, instances: list[Any]) -> list[Any]:
        """Forecast each series. Raises ValueError, which says which one is no good."""
        series = [_series(instance, i) for i, instance in enumerate(instances)]
        found: list[Any] = [None] * len(series)
        for last in {one.index[-1] for one in series}:
            places = [i for i, one in enumerate(series) if one.index[-1] == last]
            frame = pd.concat([series[i] for i in places], axis=1, keys=[str(i) for i in places]).sort_index()
            pipes = forecasts_of(self._model, Panel.from_frames(frame)).to_pipes(
                self._version, observed=self._pipe
            )
            for i in places:
                found[i] = {"unique_id": instances[i].get("unique_id"), **pipes.get(str(i), {"mean": None})}
        return found


def _place(path: str) -> tuple[tuple[str, str], str]:
    head, _, version = path.partition("@")
    pipe, slash, partition = head.partition("/")
    if not (pipe and slash and partition):
        raise ModelError(
            f"{path!r} names no model of the registry. One looks like delay/JFK: PIPE/PARTITION."
        )
    return (pipe, partition), version


def _series(instance: Any, place: int) -> pd.Series:
    """Read one series. Raises ValueError."""
    values = instance.get("y") if isinstance(instance, dict) else None
    if not isinstance(values, list) or not 0 < len(values) <= LONGEST:
        raise ValueError(
            f"instance {place} is not a series: give unique_id, ds (its last hour) and y, 1 to {LONGEST:,} numbers."
        )
    if not all(
        value is None or (isinstance(value, int | float) and not isinstance(value, bool)) for value in values
    ):
        raise ValueError(f"instance {place}: y holds something that is not a number; null is a missing one.")
    last = hour(str(instance.get("ds")))
    hours = pd.date_range(end=last, periods=len(values), freq="h", tz="UTC")
    return pd.Series(np.array(values, dtype=np.float64), index=hours)
