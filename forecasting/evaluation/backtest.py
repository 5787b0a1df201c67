"""Backtest: fit on the past of several cutoffs, forecast what came after, score by the forecast's age.

Every age is scored on the same hours, so that ages can be compared.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from forecasting.evaluation.metrics import seasonal_scale
from forecasting.features.panel import Floats, Ints, Panel
from forecasting.models.columns import LEVELS
from forecasting.models.naive import Forecaster

Ages = Mapping[str, tuple[int, int]]  # name -> smallest and largest lead


@dataclass(frozen=True, slots=True)
class Backtest:
    """How a backtest is made. All lengths in hours.

    Args:
        train: Length of the history that a model is fitted to.
        test: Length of what is forecast after each cutoff.
        horizon: The largest lead.
        stride: Every so many hours are scored; without a divisor in common with 24, all hours of the day are.
        season: Errors are scaled by the changes from one season to the next.

    Example:
        >>> hours = pd.date_range("2026-01-01", periods=240, freq="h", tz="UTC")
        >>> panel = Panel.from_frames(pd.DataFrame({"oslo": range(240)}, index=hours))
        >>> backtest = Backtest(train=120, test=48, horizon=6)
        >>> scores = backtest.run(panel, [hours[150]], {"naive": lambda panel: SeasonalNaive()})
        >>> by_age(scores, {"fresh": (1, 3), "older": (4, 6)})["mae"].tolist()
        [24.0, 24.0]
    """

    train: int = 1440
    test: int = 336
    horizon: int = 24
    stride: int = 5
    season: int = 24

    def run(
        self,
        panel: Panel,
        cutoffs: Sequence[pd.Timestamp],
        models: Mapping[str, Callable[[Panel], Forecaster]],
        weight: Floats | None = None,
        *,
        by_entity: bool = False,
    ) -> pd.DataFrame:
        """Score models.

        Args:
            panel: What is forecast.
            cutoffs: The last hours that models are fitted to.
            models: Each a function that fits one to a panel.
            weight: How much each hour counts, an array like the panel's; by default the panel's own.
            by_entity: One row a model, cutoff, lead and entity (`unique_id`).

        Returns:
            One row a model, cutoff and lead, in it sums over the hours with a truth.

            - weight, count: the weights and the number of the hours
            - error, squared: weighted absolute and squared errors
            - smape, smape_weight: weighted symmetric percentage errors, the weights of the hours where one is defined
            - scaled, scaled_weight: weighted errors in mean seasonal changes, the weights of the entities that have one
            - in-80, in-95: how many hours each interval covered
            - pinball-80, ...: the weighted mean pinball loss of both bounds
            - score-80, ...: weighted interval scores in mean seasonal changes, of the weights `scaled_weight`
        """
        weights = np.where(panel.weight > 0, panel.weight if weight is None else weight, 0.0)
        parts = [self._one(panel, weights, cutoff, models) for cutoff in cutoffs]
        scores = pd.concat(parts, ignore_index=True)
        return scores if by_entity else _summed(scores, ["model", "cutoff", "lead"])

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
            raise ValueError(f"cutoff {cutoff} is not an hour of the panel")
        first, end = max(last + 1 - self.train, 0), min(last + 1 + self.test, len(panel))
        # The first target is `horizon` hours after the cutoff, so that each lead has the same ones.
        targets = np.arange(last + self.horizon, end, self.stride) - first
        seen = panel.part(first, end)
        history = seen.part(0, last + 1 - first)
        asked = _Asked.of(
            seen, weights[first:end], targets, self.horizon, seasonal_scale(history.y, self.season)
        )
        scores = [
            asked.scores(fit(history)).assign(model=name, cutoff=cutoff) for name, fit in models.items()
        ]
        return pd.concat(scores, ignore_index=True)


@dataclass(frozen=True, slots=True)
class _Asked:
    """The origins and leads that every model of a cutoff is asked for, and the truth; arrays (leads * T, entities)."""

    panel: Panel
    origins: Ints  # (leads * T,)
    leads: Ints
    y: Floats
    weight: Floats  # 0 where there is no truth
    scale: Floats  # (entities,), NaN for an entity without one

    @classmethod
    def of(cls, panel: Panel, weights: Floats, targets: Ints, horizon: int, scale: Floats) -> _Asked:
        leads = np.repeat(np.arange(1, horizon + 1), len(targets))
        rows = np.tile(targets, horizon)
        return cls(panel, rows - leads, leads, panel.y[rows], weights[rows], scale)

    def scores(self, model: Forecaster) -> pd.DataFrame:
        """Score one fitted model: a row a lead and entity."""
        forecast = model.forecast_at(self.panel, self.origins, self.leads)
        parts = self._of_mean(forecast.mean)
        for level in LEVELS if forecast.bounds else ():
            parts |= self._of_bounds(forecast.bounds[f"lo-{level}"], forecast.bounds[f"hi-{level}"], level)
        count = len(self.panel.entities)
        starts: Ints = np.flatnonzero(np.diff(self.leads, prepend=0))
        sums: dict[str, Floats] = {
            name: np.add.reduceat(np.asarray(values, np.float64), starts, axis=0).ravel()
            if len(starts)
            else np.zeros(0)
            for name, values in parts.items()
        }
        leads = self.leads[starts]
        ids = np.tile(np.array(self.panel.entities), len(leads))
        return pd.DataFrame({"lead": np.repeat(leads, count), "unique_id": ids, **sums})

    def _of_mean(self, mean: Floats) -> dict[str, npt.ArrayLike]:
        known = self.weight > 0
        error = np.where(known, np.abs(self.y - mean), 0.0)
        size = np.where(known, np.abs(self.y) + np.abs(mean), 0.0)
        relative = np.divide(200 * error, size, out=np.zeros_like(size), where=size > 0)
        has_scale = ~np.isnan(self.scale)
        return {
            "weight": self.weight,
            "count": known,
            "error": error * self.weight,
            "squared": error**2 * self.weight,
            "smape": relative * self.weight,
            "smape_weight": np.where(size > 0, self.weight, 0.0),
            "scaled": np.where(has_scale, error / self.scale, 0.0) * self.weight,
            "scaled_weight": np.where(has_scale, self.weight, 0.0),
        }

    def _of_bounds(self, low: Floats, high: Floats, level: int) -> dict[str, npt.ArrayLike]:
        known = self.weight > 0
        y = np.where(known, self.y, low)
        below, above = np.maximum(low - y, 0), np.maximum(y - high, 0)
        tail = (100 - level) / 200  # the quantile of the lower bound
        pinball = tail * (np.abs(y - low) + np.abs(high - y)) + (1 - 2 * tail) * (below + above)
        score = high - low + (below + above) / tail
        return {
            f"in-{level}": (low <= self.y) & (self.y <= high) & known,
            f"pinball-{level}": np.where(known, pinball / 2, 0.0) * self.weight,
            f"score-{level}": np.where(known & ~np.isnan(self.scale), score / self.scale, 0.0) * self.weight,
        }


def _summed(scores: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    grouped = scores.drop(columns="unique_id").groupby(keys, as_index=False, sort=False)
    return grouped.sum(min_count=1)


def by_age(scores: pd.DataFrame, ages: Ages) -> pd.DataFrame:
    """Sum up by model and age.

    Args:
        scores: What `Backtest.run` returned.
        ages: Name -> the smallest and the largest lead.

    Returns:
        model, age, mae, rmse, mase, smape, cover-80, cover-95, pinball-80, ..., msis-80, ..., hours; NaN where a model
        has no intervals, or where a measure is not defined.
    """
    rows = []
    for (model, age), part in _aged(scores, ages).groupby(["model", "age"], sort=False):
        total = part.sum(numeric_only=True, min_count=1)
        rows.append({"model": model, "age": age} | _measures(total) | {"hours": int(total["count"])})
    return pd.DataFrame(rows)


def _measures(total: pd.Series) -> dict[str, float]:
    def ratio(sums: str, weights: str) -> float:
        """NaN where the scores are of an earlier version, which lacked the measure, or nothing weighs anything."""
        weight = total.get(weights, np.nan)
        return float(total.get(sums, np.nan) / weight) if weight > 0 else float("nan")

    found = {
        "mae": ratio("error", "weight"),
        "rmse": ratio("squared", "weight") ** 0.5,
        "mase": ratio("scaled", "scaled_weight"),
        "smape": ratio("smape", "smape_weight"),
    }
    found |= {f"cover-{level}": ratio(f"in-{level}", "count") for level in LEVELS}
    found |= {f"pinball-{level}": ratio(f"pinball-{level}", "weight") for level in LEVELS}
    return found | {f"msis-{level}": ratio(f"score-{level}", "scaled_weight") for level in LEVELS}


def relative(table: pd.DataFrame, rival: str) -> pd.DataFrame:
    """Add `owa` to what `by_age` returned: the mean of sMAPE and MASE, each relative to the rival's of the same age.

    In the M4 competition the rival is Naive2. NaN where a measure is not defined.

    Raises:
        ValueError: No such rival was scored.
    """
    if rival not in set(table["model"]):
        raise ValueError(f"no model {rival!r} was scored. There is {', '.join(sorted(set(table['model'])))}.")
    of_rival = table[table["model"] == rival].set_index("age")[["smape", "mase"]]
    base = of_rival.loc[table["age"]].to_numpy()
    return table.assign(owa=(table[["smape", "mase"]].to_numpy() / base).mean(axis=1))


def _aged(scores: pd.DataFrame, ages: Ages) -> pd.DataFrame:
    parts = [
        scores[scores["lead"].between(first, last)].assign(age=name) for name, (first, last) in ages.items()
    ]
    return pd.concat(parts, ignore_index=True)
