"""GlobalForecaster: one direct multi-horizon XGBoost for many entities, with intervals.

One model gives the mean for every entity and lead: the lead is a feature, so a forecast never feeds on another. A
second one gives the quantiles; hours that it has not seen calibrate them, lead by lead (see `intervals`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
import xgboost as xgb

from forecasting.errors import DataError, ModelError, NotFitted
from forecasting.features import Features, FeatureSpec
from forecasting.forecasts import Forecasts
from forecasting.intervals import Conformal, alphas, tidy
from forecasting.names import BOUNDS, LEVELS
from forecasting.panel import Ints, Panel
from forecasting.sampling import Sample, draw

MEAN_FILE, QUANTILE_FILE, SPEC_FILE = "mean.ubj", "quantiles.ubj", "spec.json"
BINS = 64  # of each feature: as good as 256, at half the cost


@dataclass(frozen=True, slots=True)
class Fitting:
    """How a model is fitted.

    loss          "squared", or "robust": beyond half a scale an error counts in proportion, not squared
    rounds        trees of the mean model
    quantile_rounds  trees of each quantile
    depth         of a tree
    eta           learning rate of the mean model; that of the quantiles is twice as high
    max_rows      rows that are drawn from the history, half as many for the quantiles
    warm_up       hours at the start of the history that only serve as the past of later ones
    held_out      hours at its end that calibrate the intervals
    threads       for OpenMP; 1 is safe in a forked Celery child
    seed          of the draw and of the trees: the same data give the same model
    """

    loss: str = "squared"
    rounds: int = 150
    quantile_rounds: int = 50
    depth: int = 6
    eta: float = 0.06
    max_rows: int = 40_000
    warm_up: int = 336
    held_out: int = 168
    threads: int = 1
    seed: int = 1

    def __post_init__(self) -> None:
        if self.loss not in ("squared", "robust"):
            raise ValueError(f"loss={self.loss!r} is unknown. Use 'squared' or 'robust'.")


class GlobalForecaster:
    """One model for all entities of a panel, and for entities that it has never seen."""

    def __init__(self, spec: FeatureSpec | None = None, fitting: Fitting | None = None) -> None:
        self.spec = spec or FeatureSpec()
        self.fitting = fitting or Fitting()
        self._mean: xgb.Booster | None = None
        self._quantiles: xgb.Booster | None = None
        self._conformal = Conformal.none(self.spec.horizon)

    @property
    def features(self) -> tuple[str, ...]:
        """The names of the features that it was fitted with. Raises NotFitted."""
        return tuple(self._fitted()[0].feature_names or ())

    def fit(self, data: Panel | pd.DataFrame) -> Self:
        """Fit to a panel, or to the long format (unique_id, ds, y). Raises DataError when there is too little."""
        panel = self._panel(data)
        last = len(panel) - 1
        first = min(self.fitting.warm_up, last // 3)
        cut = max(last - self.fitting.held_out, (first + last) // 2)
        if last < 2 * self.spec.horizon or not panel.weight[first + self.spec.horizon : cut + 1].any():
            raise DataError(
                f"{len(panel)} hours with {int((panel.weight > 0).sum())} observations are too few to fit a model "
                f"to. Give at least {4 * self.spec.horizon} hours, better several weeks."
            )
        features = Features(panel, self.spec)
        sample = draw(features, first + 1, last, self.fitting.max_rows, self.fitting.seed)
        early = sample.until(cut)
        self._mean = self._fit_mean(sample, features.names)
        self._quantiles = self._fit_quantiles(early.thinned(2), features.names)
        self._conformal = self._calibrate(features, cut + 1, last)
        return self

    def predict(self, data: Panel | pd.DataFrame) -> pd.DataFrame:
        """Forecast the hours after the last one, in the long format: unique_id, ds, lead, mean, lo-80, ..."""
        return self.forecast(self._panel(data)).to_long()

    def forecast(self, panel: Panel) -> Forecasts:
        """Forecast the leads 1 to `horizon` from the panel's last hour."""
        leads = np.arange(1, self.spec.horizon + 1)
        return self.forecast_at(panel, np.full(len(leads), len(panel) - 1), leads)

    def forecast_at(self, panel: Panel, origins: Ints, leads: Ints) -> Forecasts:
        """Forecast from R origins (row numbers of the panel), each for its lead, as if it were that hour."""
        means, quantiles = self._fitted()
        features = Features(panel, self.spec)
        rows = features.at(origins, leads)
        shape = rows.base.shape
        mean = rows.base + rows.scale * means.inplace_predict(rows.x, validate_features=False).reshape(shape)
        raw = quantiles.inplace_predict(rows.x, validate_features=False).reshape(*shape, len(BOUNDS))
        bounds = {name: rows.base + rows.scale * raw[..., i] for name, i in _column_of_bounds().items()}
        bounds = tidy(mean, self._conformal.apply(leads, bounds))
        return Forecasts(panel.entities, panel.hours[origins], leads, mean, bounds)

    def save(self, folder: Path) -> None:
        """Write the model's files into a folder that exists."""
        for booster, name in zip(self._fitted(), (MEAN_FILE, QUANTILE_FILE), strict=True):
            booster.save_model(folder / name)
        spec = {"features": asdict(self.spec), "fitting": asdict(self.fitting)}
        text = json.dumps(spec | {"widening": self._conformal.to_json()}, indent=1)
        (folder / SPEC_FILE).write_text(text)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote. Raises ModelError when a file is missing or cannot be read."""
        try:
            stored = json.loads((folder / SPEC_FILE).read_text())
            model = cls(_spec(stored["features"]), Fitting(**stored["fitting"]))
            model._conformal = Conformal.from_json(stored["widening"])
            model._mean, model._quantiles = (_booster(folder / name) for name in (MEAN_FILE, QUANTILE_FILE))
        except (OSError, KeyError, TypeError, ValueError, xgb.core.XGBoostError) as error:
            raise ModelError(
                f"no model can be read from {folder} ({error}). Train it again, or make another version live."
            ) from None
        return model

    def _fitted(self) -> tuple[xgb.Booster, xgb.Booster]:
        if self._mean is None or self._quantiles is None:
            raise NotFitted("this model was not fitted. Call fit(data) first, or load one.")
        return self._mean, self._quantiles

    def _panel(self, data: Panel | pd.DataFrame) -> Panel:
        return data if isinstance(data, Panel) else Panel.from_long(data, past=self.spec.past)

    def _params(self, **more: Any) -> dict[str, Any]:
        fitting = self.fitting
        return {
            "tree_method": "hist",
            "max_bin": BINS,
            "max_depth": fitting.depth,
            "subsample": 0.7,
            "colsample_bytree": 0.5,
            "min_child_weight": 30,
            "lambda": 10,
            "nthread": fitting.threads,
            "seed": fitting.seed,
        } | more

    def _fit_mean(self, sample: Sample, names: Sequence[str]) -> xgb.Booster:
        squared = {"objective": "reg:squarederror", "eta": self.fitting.eta}
        robust = {"objective": "reg:pseudohubererror", "huber_slope": 0.5, "eta": self.fitting.eta}
        params = self._params(**(squared if self.fitting.loss == "squared" else robust))
        data = self._matrix(sample, names, weight=sample.weight)
        return xgb.train(params, data, self.fitting.rounds)

    def _fit_quantiles(self, sample: Sample, names: Sequence[str]) -> xgb.Booster:
        params = self._params(
            objective="reg:quantileerror", quantile_alpha=alphas(), eta=2 * self.fitting.eta
        )
        data = self._matrix(sample, names)
        return xgb.train(params, data, self.fitting.quantile_rounds)

    def _matrix(self, sample: Sample, names: Sequence[str], **more: Any) -> xgb.QuantileDMatrix:
        return xgb.QuantileDMatrix(
            sample.x, sample.y, feature_names=list(names), max_bin=BINS, nthread=self.fitting.threads, **more
        )

    def _calibrate(self, features: Features, first: int, last: int) -> Conformal:
        held_out = draw(features, first, last, self.fitting.max_rows // 2, self.fitting.seed)
        assert self._quantiles is not None
        raw = self._quantiles.inplace_predict(held_out.x, validate_features=False)
        bounds = {name: raw[:, i] for name, i in _column_of_bounds().items()}
        return Conformal.measure(held_out.leads, held_out.y, bounds, self.spec.horizon)


def _column_of_bounds() -> dict[str, int]:
    """Which of the quantile model's outputs is which bound."""
    order = alphas()
    sides = {"lo": -1, "hi": 1}
    return {
        f"{s}-{level}": order.index((100 + sign * level) / 200)
        for level in LEVELS
        for s, sign in sides.items()
    }


def _spec(stored: Mapping[str, Any]) -> FeatureSpec:
    fields: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in stored.items()}
    return FeatureSpec(**fields)


def _booster(path: Path) -> xgb.Booster:
    booster = xgb.Booster()
    booster.load_model(path)
    booster.set_param({"nthread": 1})
    return booster
