"""Measuring a model for the gate: beside the live one and the seasonal naive, on hours that none of them has seen.

All are fitted to the same past and asked about the same hours, from each hour on, for each lead.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import pandas as pd

from forecasting.errors import DataError, ModelError
from forecasting.evaluation.backtest import Backtest, by_age
from forecasting.features.panel import Panel
from forecasting.models.naive import Forecaster, SeasonalNaive
from forecasting.registry import Registry
from forecasting.registry.estimator_calls import forecaster, horizon_of, season_of
from forecasting.registry.manifest import recipe_of
from forecasting.registry.promotion_gate import COVER, LIVE_MAE, MAE, NAIVE_MAE

LEAST_HOURS = 24  # fewer tell nothing
MODEL, LIVE, NAIVE = "model", "live", "seasonal naive"  # in the scores' column `model`

_METRICS = {MODEL: MAE, LIVE: LIVE_MAE, NAIVE: NAIVE_MAE}


@dataclass(frozen=True, slots=True)
class Rival:
    """The live version, as a model that can be fitted again."""

    version: str | None = None  # None where nothing is live
    model: Any = None
    same: bool = False  # of the same class and parameters: fitted to the same past it would be the same model

    @classmethod
    def of(cls, registry: Registry, name: str, partition: str, model: Any) -> Rival:
        """Return the rival that the live version is; a damaged one is none."""
        version = registry.newest(name, partition).live
        if version is None:
            return cls()
        try:
            if registry.manifest(name, partition, version).recipe == recipe_of(model):
                return cls(version, same=True)
            return cls(version, registry.fresh(name, partition, version))
        except ModelError:
            return cls()


def scores(
    panel: Panel, model: Any, cutoff: pd.Timestamp, hours: int, rival: Rival | None = None
) -> pd.DataFrame:
    """Score the hours after `cutoff`, that hour not included; the columns are those of `Backtest.run`.

    A rival that would be the same model is not fitted: its scores are the model's. Raises DataError where the past is
    too short to fit a model to.
    """
    rival = rival or Rival()
    models: dict[str, Callable[[Panel], Forecaster]] = {
        MODEL: lambda past: forecaster(_fitted(deepcopy(model), past)),
        NAIVE: lambda _: SeasonalNaive(season_of(model)),
    }
    if rival.model is not None:
        models[LIVE] = lambda past: forecaster(_fitted(rival.model, past))
    horizon = min(horizon_of(model), hours, *([] if rival.model is None else [horizon_of(rival.model)]))
    found = Backtest(train=len(panel), test=hours, horizon=horizon).run(panel, [cutoff], models)
    same = [found[found["model"] == MODEL].assign(model=LIVE)] if rival.same else []
    return pd.concat([found, *same], ignore_index=True)


def metrics(found: pd.DataFrame) -> dict[str, float]:
    """Sum scores up over all leads and cutoffs, as the gate reads them.

    `mae`, `naive_mae` and `live_mae` are weighted like the panel, `cover-80` and `cover-95` the shares of hours in the
    intervals. What could not be measured is left out.
    """
    table = by_age(found, {"all": (1, int(found["lead"].max()))}).set_index("model")
    result = {_METRICS[name]: float(table.loc[name, "mae"]) for name in table.index}
    result |= {cover: float(table.loc[MODEL, cover]) for cover in ("cover-80", COVER)}
    return {name: value for name, value in result.items() if value == value}


def measure(panel: Panel, model: Any, hours: int, rival: Rival | None = None) -> dict[str, float]:
    """Measure on the panel's last hours, see `metrics`; nothing where there are too few, before or in them."""
    if hours < LEAST_HOURS:
        return {}
    try:
        return metrics(scores(panel, model, panel.hours[len(panel) - 1 - hours], hours, rival))
    except DataError:
        return {}


def _fitted(model: Any, past: Panel) -> Any:
    return model.fit(past) or model
