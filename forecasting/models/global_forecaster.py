"""GlobalForecaster: one direct multi-horizon XGBoost for many entities, with intervals.

One model, of some members whose outputs are averaged, gives the mean for every entity and lead: the lead is a
feature, so a forecast never feeds on another. Another one, of members too, gives the quantiles; hours that it has not
seen calibrate them, lead by lead (see `intervals`).
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt
import pandas as pd
import xgboost as xgb

from forecasting.errors import DataError, ModelError, NotFitted
from forecasting.features.panel import Floats, Ints, Panel
from forecasting.features.rows import Features, FeatureSpec, Rows
from forecasting.features.sampling import draw, draw_all
from forecasting.models.direct_forecaster import Direct, panel_of
from forecasting.models.forecasts import Forecasts
from forecasting.models.intervals import Conformal, places, tidy
from forecasting.models.learning import Fitting, fit_mean, fit_quantiles
from forecasting.models.spec_file import parameters, reading_spec, write_spec

__all__ = ["Fitting", "GlobalForecaster"]

SUFFIX = ".ubj"
MEAN_FILE, QUANTILE_FILE = f"mean{SUFFIX}", f"quantiles{SUFFIX}"


class GlobalForecaster(Direct[FeatureSpec]):
    """One model for all entities of a panel, and for entities that it has never seen.

    Args:
        spec: The features.
        fitting: How it is fitted.

    Example:
        >>> hours = pd.date_range("2026-01-01", periods=14 * 24, freq="h", tz="UTC")
        >>> panel = Panel.from_frames(pd.DataFrame({"oslo": hours.hour, "lima": hours.hour + 5}, index=hours))
        >>> fitting = Fitting(members=1, quantile_members=1, rounds=5, quantile_rounds=5)
        >>> model = GlobalForecaster(FeatureSpec(horizon=6), fitting)
        >>> forecast = model.fit(panel).predict(panel)
        >>> forecast["unique_id"].tolist()[4:8]
        ['oslo', 'oslo', 'lima', 'lima']
    """

    def __init__(self, spec: FeatureSpec | None = None, fitting: Fitting | None = None) -> None:
        self.spec = spec or FeatureSpec()
        self.fitting = fitting or Fitting()
        self._means: list[xgb.Booster] = []
        self._quantiles: list[xgb.Booster] = []
        self._conformal = Conformal.none(self.spec.horizon)
        self._floor: float | None = None
        self.spec_ = self.spec  # once it is fitted: with all chosen that `spec` leaves open

    @property
    def features(self) -> tuple[str, ...]:
        """The names of the features that it was fitted with. Raises NotFitted."""
        return tuple(self._fitted()[0][0].feature_names or ())

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
        self.spec_ = features.spec
        lowest = float(np.min(panel.y, where=panel.weight > 0, initial=np.inf))
        self._floor = 0.0 if lowest >= 0 else None
        relative = self.fitting.relative if self.fitting.relative is not None else lowest > 0
        members = self._members(features, first, cut, relative)
        self._means = [mean for mean, _ in members if mean is not None]
        self._quantiles = [quantiles for _, quantiles in members if quantiles is not None]
        self._conformal = self._calibrate(features, cut + 1, last)
        return self

    def forecast_at(self, panel: Panel, origins: Ints, leads: Ints, *, intervals: bool = True) -> Forecasts:
        """Forecast from R origins (row numbers of the panel), each for its lead, as if it were that hour."""
        means, quantiles = self._fitted()
        rows = Features(panel, self.spec_).at(origins, leads)
        if rows.x.shape[1] != means[0].num_features():
            raise ModelError(
                f"the model was fitted to {means[0].num_features()} features, and this version of the project makes "
                f"{rows.x.shape[1]}. Train it again, or make another version live."
            )
        x = _by_entity(rows)
        mean = rows.base + rows.scale * _average(means, x, rows)
        bounds: dict[str, Floats] = {}
        if intervals:
            raw = _average(quantiles, x, rows)
            bounds = {name: rows.base + rows.scale * raw[..., i] for name, i in places().items()}
            bounds = tidy(mean, self._conformal.apply(leads, bounds))
        if self._floor is not None:
            low = np.where(_never_below(panel, origins, self._floor), self._floor, -np.inf)
            mean, bounds = np.fmax(mean, low), {name: np.fmax(values, low) for name, values in bounds.items()}
        return Forecasts(panel.entities, panel.hours[origins], leads, mean, bounds)

    def save(self, folder: Path) -> None:
        """Write the model's files into a folder that exists."""
        means, quantiles = self._fitted()
        for boosters, name in ((means, MEAN_FILE), (quantiles, QUANTILE_FILE)):
            for booster, file in zip(boosters, _files(name, len(boosters)), strict=True):
                booster.save_model(folder / file)
        spec = {"features": asdict(self.spec), "chosen": asdict(self.spec_), "fitting": asdict(self.fitting)}
        learned = {"widening": self._conformal.to_json(), "floor": self._floor}
        learned |= {"members": len(means), "quantile_members": len(quantiles)}
        write_spec(folder, spec | learned)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote. Raises ModelError when a file is missing or cannot be read."""
        with reading_spec(folder) as stored:
            model = cls(parameters(FeatureSpec, stored["features"]), Fitting(**stored["fitting"]))
            model._conformal = Conformal.from_json(stored["widening"])
            model.spec_ = parameters(FeatureSpec, stored["chosen"])
            model._floor = stored["floor"]
            model._means = _boosters(folder, MEAN_FILE, stored["members"])
            model._quantiles = _boosters(folder, QUANTILE_FILE, stored["quantile_members"])
        return model

    def _fitted(self) -> tuple[list[xgb.Booster], list[xgb.Booster]]:
        if not self._means or not self._quantiles:
            raise NotFitted
        return self._means, self._quantiles

    def _panel(self, data: Panel | pd.DataFrame) -> Panel:
        return panel_of(data, self.spec)

    def _members(
        self, features: Features, first: int, cut: int, relative: bool
    ) -> list[tuple[xgb.Booster | None, xgb.Booster | None]]:
        """Fit the members of both models, the quantiles to what is known until the hour `cut`."""
        kind, last = self.spec_.kind, len(features.panel) - 1
        means, quantiles = self.fitting.counts(kind)
        rows = self._rows(features.panel)

        def member(number: int, fitting: Fitting) -> tuple[xgb.Booster | None, xgb.Booster | None]:
            sample = draw_all(features, first, last, rows, fitting.seed)
            mean = fit_mean(sample, features.names, fitting, kind, relative) if number < means else None
            if number >= quantiles:
                return mean, None
            return mean, fit_quantiles(sample.until(cut), features.names, fitting, kind)

        each = self.fitting.each(kind)
        together = min(self.fitting.threads, len(each))
        if together == 1:  # no thread is started where it could be forked
            return list(map(member, range(len(each)), each))
        with ThreadPoolExecutor(together) as pool:
            return list(pool.map(member, range(len(each)), each))

    def _rows(self, panel: Panel) -> int:
        return self.fitting.rows(self.spec_.kind, int((panel.weight > 0).sum()))

    def _calibrate(self, features: Features, first: int, last: int) -> Conformal:
        held_out = draw(features, first, last, self._rows(features.panel) // 2, self.fitting.seed)
        told = [one.inplace_predict(held_out.x, validate_features=False) for one in self._quantiles]
        raw = np.mean(told, axis=0)
        bounds = {name: raw[:, i] for name, i in places().items()}
        return Conformal.measure(held_out.leads, held_out.y, bounds, self.spec.horizon)


def _files(first: str, members: int) -> list[str]:
    """Return the file of each member of a model."""
    stem = first.removesuffix(SUFFIX)
    return [first, *(f"{stem}-{i}{SUFFIX}" for i in range(2, members + 1))]


def _by_entity(rows: Rows) -> npt.NDArray[np.float32]:
    """Put the rows of an entity side by side: they take the same ways through a tree, which is quicker."""
    count, entities = rows.base.shape
    x = rows.x.T.reshape(-1, count, entities)
    return np.ascontiguousarray(x.transpose(0, 2, 1)).reshape(len(x), -1).T


def _average(members: Sequence[xgb.Booster], x: npt.NDArray[np.float32], rows: Rows) -> Floats:
    """Return the average of what the members of a model say, in the shape of `_outputs`."""
    found = _outputs(members[0], x, rows)
    for one in members[1:]:
        found = found + _outputs(one, x, rows)
    return found / len(members)


def _outputs(booster: xgb.Booster, x: npt.NDArray[np.float32], rows: Rows) -> Floats:
    """Return what a model says of the rows of `_by_entity`: (R, E), with the outputs of several last."""
    count, entities = rows.base.shape
    found = booster.inplace_predict(x, validate_features=False)
    result: Floats = np.swapaxes(found.reshape(entities, count, *found.shape[1:]), 0, 1)
    return result


def _never_below(panel: Panel, origins: Ints, floor: float) -> npt.NDArray[np.bool_]:
    """Which entities were never below the floor up to each origin, (1 or R, entities)."""
    if not (panel.y < floor).any():
        return np.ones((1, len(panel.entities)), dtype=bool)
    lowest = np.fmin.accumulate(np.where(np.isnan(panel.y), np.inf, panel.y), axis=0)
    return lowest[origins] >= floor


def _boosters(folder: Path, first: str, members: int) -> list[xgb.Booster]:
    return [_booster(folder / name) for name in _files(first, members)]


def _booster(path: Path) -> xgb.Booster:
    booster = xgb.Booster()
    booster.load_model(path)
    booster.set_param({"nthread": 1})
    return booster
