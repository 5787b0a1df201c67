"""Backtest: fit on the past of several cutoffs, forecast what came after, score by the forecast's age.

Every age is scored on the same hours, so that ages can be compared.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from forecasting.naive import Forecaster
from forecasting.names import LEVELS
from forecasting.panel import Floats, Ints, Panel

Ages = Mapping[str, tuple[int, int]]  # name -> smallest and largest lead


@dataclass(frozen=True, slots=True)
class Backtest:
    """How a backtest is made. All lengths in hours.

    train    length of the history that a model is fitted to
    test     length of what is forecast after each cutoff
    horizon  the largest lead
    stride   every so many hours are scored; have no divisor in common with 24, so that all hours of the day are
    """

    train: int = 1440
    test: int = 336
    horizon: int = 24
    stride: int = 5

    def run(
        self,
        panel: Panel,
        cutoffs: Sequence[pd.Timestamp],
        models: Mapping[str, Callable[[Panel], Forecaster]],
        weight: Floats | None = None,
    ) -> pd.DataFrame:
        """Score models, each given as a function that fits one to a panel.

        Gives one row a model, cutoff and lead: `weight` and `count` of the hours with a truth, weighted sums
        `error` (absolute) and `squared`, and how many hours each interval covered (`in-80`, `in-95`). The hours
        weigh as much as `weight` says, an array like the panel's; by default as the panel's own.
        """
        weights = np.where(panel.weight > 0, panel.weight if weight is None else weight, 0.0)
        return pd.concat([self._one(panel, weights, cutoff, models) for cutoff in cutoffs], ignore_index=True)

    def _one(
        self,
        panel: Panel,
        weights: Floats,
        cutoff: pd.Timestamp,
        models: Mapping[str, Callable[[Panel], Forecaster]],
    ) -> pd.DataFrame:
        """Score one cutoff: the last hour that the models are fitted to."""
        last = int(panel.hours.get_indexer(pd.DatetimeIndex([cutoff]))[0])
        if last < 0:
            raise ValueError(f"cutoff {cutoff} is no hour of the panel")
        first, end = max(last + 1 - self.train, 0), min(last + 1 + self.test, len(panel))
        # The first target is `horizon` hours after the cutoff, so that each lead has the same ones.
        targets = np.arange(last + self.horizon, end, self.stride) - first
        seen = panel.part(first, end)
        scores = [
            _scores(
                seen, weights[first:end], fit(seen.part(0, last + 1 - first)), targets, self.horizon
            ).assign(model=name, cutoff=cutoff)
            for name, fit in models.items()
        ]
        return pd.concat(scores, ignore_index=True)


def _scores(panel: Panel, weights: Floats, model: Forecaster, targets: Ints, horizon: int) -> pd.DataFrame:
    """Score one fitted model, a row a lead."""
    leads = np.repeat(np.arange(1, horizon + 1), len(targets))
    rows = np.tile(targets, horizon)
    forecast = model.forecast_at(panel, rows - leads, leads)
    y, weight = panel.y[rows], weights[rows]
    known = weight > 0
    error = np.where(known, np.abs(y - forecast.mean), 0.0)
    parts = {"weight": weight, "count": known, "error": error * weight, "squared": error**2 * weight}
    for level in LEVELS if forecast.bounds else ():
        parts[f"in-{level}"] = (
            (forecast.bounds[f"lo-{level}"] <= y) & (y <= forecast.bounds[f"hi-{level}"]) & known
        )
    sums = {name: values.sum(axis=1, dtype=np.float64) for name, values in parts.items()}
    return pd.DataFrame({"lead": leads, **sums}).groupby("lead", as_index=False).sum()


def by_age(scores: pd.DataFrame, ages: Ages) -> pd.DataFrame:
    """Sum up by model and age: columns model, age, mae, rmse, cover-80, cover-95, hours."""
    rows = []
    for (model, age), part in _aged(scores, ages).groupby(["model", "age"], sort=False):
        total = part.sum(numeric_only=True, min_count=1)
        covers = {f"cover-{level}": total.get(f"in-{level}", np.nan) / total["count"] for level in LEVELS}
        errors = {
            "mae": total["error"] / total["weight"],
            "rmse": (total["squared"] / total["weight"]) ** 0.5,
        }
        rows.append({"model": model, "age": age} | errors | covers | {"hours": int(total["count"])})
    return pd.DataFrame(rows)


def _aged(scores: pd.DataFrame, ages: Ages) -> pd.DataFrame:
    parts = [
        scores[scores["lead"].between(first, last)].assign(age=name) for name, (first, last) in ages.items()
    ]
    return pd.concat(parts, ignore_index=True)
