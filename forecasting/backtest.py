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
from forecasting.panel import Panel

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
    ) -> pd.DataFrame:
        """Score models, each given as a function that fits one to a panel.

        Gives one row a model, cutoff and lead: `weight` and `count` of the hours with a truth, weighted sums
        `error` (absolute) and `squared`, and how many hours each interval covered (`in-80`, `in-95`).
        """
        return pd.concat([self._one(panel, cutoff, models) for cutoff in cutoffs], ignore_index=True)

    def _one(
        self, panel: Panel, cutoff: pd.Timestamp, models: Mapping[str, Callable[[Panel], Forecaster]]
    ) -> pd.DataFrame:
        """Score one cutoff: the last hour that the models are fitted to."""
        last = int(panel.hours.get_indexer([cutoff])[0])
        if last < 0:
            raise ValueError(f"cutoff {cutoff} is no hour of the panel")
        past = panel.part(max(last + 1 - self.train, 0), last + 1)
        # The first target is `horizon` hours after the cutoff, so that each lead has the same ones.
        targets = np.arange(last + self.horizon, min(last + 1 + self.test, len(panel)), self.stride)
        rows = []
        for name, fit in models.items():
            model = fit(past)
            for lead in range(1, self.horizon + 1):
                rows.append(
                    {"model": name, "cutoff": cutoff, "lead": lead} | _score(panel, model, targets, lead)
                )
        return pd.DataFrame(rows)


def _score(panel: Panel, model: Forecaster, targets: np.ndarray, lead: int) -> dict[str, float]:
    leads = np.full(len(targets), lead)
    forecast = model.forecast_at(panel, targets - leads, leads)
    y, weight = panel.y[targets], panel.weight[targets]
    known = weight > 0
    error = np.where(known, np.abs(y - forecast.mean), 0.0)
    inside = {
        f"in-{level}": float(
            ((forecast.bounds[f"lo-{level}"] <= y) & (y <= forecast.bounds[f"hi-{level}"]) & known).sum()
        )
        if forecast.bounds
        else np.nan
        for level in LEVELS
    }
    sums = {"error": float((error * weight).sum()), "squared": float((error**2 * weight).sum())}
    return {"weight": float(weight.sum()), "count": float(known.sum())} | sums | inside


def by_age(scores: pd.DataFrame, ages: Ages) -> pd.DataFrame:
    """Sum up by model and age: columns model, age, mae, rmse, cover-80, cover-95, hours."""
    rows = []
    for (model, age), part in _aged(scores, ages).groupby(["model", "age"], sort=False):
        total = part.sum(numeric_only=True)
        covers = {
            f"cover-{level}": total[f"in-{level}"] / total["count"]
            if part[f"in-{level}"].notna().all()
            else np.nan
            for level in LEVELS
        }
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
