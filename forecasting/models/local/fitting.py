"""Fitting the local models of one block of entities: rows, ridges, trees, and the size of their errors."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import xgboost as xgb

from forecasting.features.arrays import divide
from forecasting.features.panel import Floats, Ints, Panel
from forecasting.models import ridge
from forecasting.models.local.bank import Bank, linear
from forecasting.models.local.inputs import Inputs
from forecasting.models.local.lags import Lagged, Lags
from forecasting.models.local.trees import Rows32, Trees

WARM_UP = 168  # hours after an entity's first observation that only serve as the past of later ones
LEAST = 168  # rows that an entity's own model is fitted to at least
FREE = 1e-3  # of the penalty has the constant
TOLD = 0.1  # of the penalty has an input: there are few, and who gives one knows that it matters
FOLDS = 3  # contiguous parts of the rows; the errors of each are measured without it
SHRINKAGE = 5.0  # so many errors of any hour draw the usual error of an hour of the day


@dataclass(frozen=True, slots=True)
class LocalSpec:
    """How local models are made. All lengths in hours.

    Args:
        kind: "xgboost": the mean of a ridge and of boosted trees; "ridge": the ridge alone, forty times as fast.
        horizon: The largest lead.
        seasons: Periods; the first is the main one.
        history: How much of the past is fitted to.
        half_life: After so long a row counts half as much.
        penalty: Of the ridge's coefficients, for a row of observations.
        trees: Of each entity.
        depth: Of a tree.
        eta: Learning rate of the trees.
        bins: Of each feature.
        columns: Share of the features that a tree may use.
        seed: Of the rows and the trees: the same data give the same models.
        future: Names of the panel's inputs that are known for the hours to come; None: all that it has when fitted.

    Raises:
        ValueError: There is no such kind, or no season or horizon of an hour or more.

    Example:
        >>> model = LocalForecaster(LocalSpec(kind="ridge", horizon=48, history=28 * 24))
    """

    kind: Literal["xgboost", "ridge"] = "xgboost"
    horizon: int = 24
    seasons: tuple[int, ...] = (24, 168)
    history: int = 1344
    half_life: float = 336.0
    penalty: float = 2.0
    trees: int = 40
    depth: int = 4
    eta: float = 0.12
    bins: int = 16
    columns: float = 0.3
    seed: int = 1
    future: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if self.kind not in ("xgboost", "ridge"):
            raise ValueError(f"kind={self.kind!r} is unknown. Use 'xgboost' or 'ridge'.")
        if not self.seasons or min(self.seasons) < 1 or self.horizon < 1:
            raise ValueError(
                f"seasons={self.seasons} and horizon={self.horizon}: give at least one season, and each as one "
                "hour or more."
            )


@dataclass(frozen=True, slots=True)
class Rows:
    """Which rows are fitted to: each hour as a target once, with a lead drawn at random."""

    targets: Ints  # consecutive
    leads: Ints

    @property
    def origins(self) -> Ints:
        """When each forecast is made."""
        return self.targets - self.leads

    @classmethod
    def draw(cls, hours: int, spec: LocalSpec) -> Rows:
        """Draw those of a history; as many of each lead."""
        targets = np.arange(min(spec.seasons[-1] + spec.horizon, hours), hours)
        rng = np.random.default_rng(spec.seed)
        rounds = [rng.permutation(spec.horizon) + 1 for _ in range(-(-len(targets) // spec.horizon))]
        leads = np.concatenate(rounds)[: len(targets)] if rounds else targets
        return cls(targets, leads)


@dataclass(frozen=True, slots=True)
class Held:
    """Errors of n rows that a model was not fitted to, in scales."""

    leads: Ints
    errors: Floats
    usual: Floats  # their size, of the entity at that hour


@dataclass(frozen=True, slots=True)
class Fitted:
    """What one block gives."""

    bank: Bank
    ridge: ridge.Fit
    own: npt.NDArray[np.bool_]  # (E,): who has rows enough for a model of its own
    held: Held


class Fitter:
    """Fits blocks of entities, all to the same rows of their histories."""

    def __init__(self, spec: LocalSpec, panel: Panel, inputs: Inputs) -> None:
        self.spec, self.panel, self.inputs = spec, panel, inputs
        self.lags = Lags(spec.seasons)
        self.rows = Rows.draw(len(panel), spec)
        lags = self.lags.mixing()
        mixing = np.pad(lags, (0, len(inputs)))
        mixing[len(lags) :, lags.shape[1] :] = np.eye(len(inputs))
        self.mixing = np.pad(mixing, (0, 1))
        self.mixing[-1, -1] = 1.0  # the constant
        self._mixing32 = mixing.astype(np.float32)

    def block(self, columns: slice, held_out: int) -> Fitted:
        """Fit some entities. Of the first `held_out` of them the trees' errors are measured, too."""
        y, weight = self.panel.y[:, columns], self.panel.weight[:, columns]
        lagged = self.lagged(columns, self.rows.origins, self.rows.leads)
        weights = self._weights(y, weight)
        known = weights > 0
        truth = (np.nan_to_num(y[self.rows.targets]).T - lagged.base) / lagged.scale
        fit = self._ridge(lagged, truth, weights)
        errors = divide(fit.errors, np.sqrt(weights))
        usual = self._usual(errors)
        own = known.sum(axis=1) >= LEAST
        bank = Bank(
            fit.coefficients.astype(np.float32),
            usual.astype(np.float32),
            2 * np.abs(truth * known).max(axis=1, initial=0.0).astype(np.float32),
            np.where(np.fmin.reduce(y, axis=0, initial=0.0) < 0, -np.inf, 0.0).astype(np.float32),
            None,
        )
        held = self._held(errors, usual, np.flatnonzero(own))
        if self.spec.kind == "xgboost":
            bank, held = self._boosted(bank, fit, lagged, truth, weights, own, held_out)
        return Fitted(bank, fit, own, held)

    def lagged(self, columns: slice, origins: Ints, leads: Ints) -> Lagged:
        """Return the features of some entities at R origins and leads: the lags, then the inputs."""
        found = self.lags.at(self.panel.y[:, columns], origins, leads)
        if not self.inputs:
            return found
        bases = self.lags.base_rows(origins, leads, len(self.panel))
        told = self.inputs.at(self.panel, columns, origins + leads, bases)
        return replace(found, x=np.concatenate([found.x, told], axis=2))

    def with_phases(self, lagged: Lagged, origins: Ints, leads: Ints) -> Rows32:
        """Return what the trees are told: the ridge's columns, the lead, and the hour of each season."""
        targets = origins + leads + self.panel_hour
        told = np.stack([leads, *(targets % season for season in self.spec.seasons)], axis=1)
        phases = np.broadcast_to(told.astype(np.float32), (len(lagged.x), *told.shape))
        return np.concatenate([lagged.x @ self._mixing32, phases], axis=2)

    @property
    def panel_hour(self) -> int:
        """The number of the panel's first hour since 1970."""
        return int(self.panel.hours[0].timestamp()) // 3600

    def _weights(self, y: Floats, weight: Floats) -> Floats:
        """Return the weight of each row, (E, rows), of mean 1; 0 where there is no truth or too little past."""
        seen = weight > 0
        first = np.where(seen.any(axis=0), np.argmax(seen, axis=0), len(y))
        usable = seen[self.rows.targets] & (self.rows.origins[:, None] >= first + WARM_UP)
        usual = divide(weight.sum(axis=0), seen.sum(axis=0))
        fading = 0.5 ** ((len(y) - self.rows.targets[:, None]) / self.spec.half_life)
        fading /= fading.mean() if fading.size else 1.0
        return np.where(usable, weight[self.rows.targets] / usual * fading, 0.0).T

    def _ridge(self, lagged: Lagged, truth: Floats, weights: Floats) -> ridge.Fit:
        root = np.sqrt(weights).astype(np.float32)
        x = np.concatenate([lagged.x, np.ones((*lagged.x.shape[:2], 1), np.float32)], axis=2)
        x *= root[..., None]
        penalties = np.outer(
            self.spec.penalty * np.maximum(weights.sum(axis=1), 1.0), np.ones(self.mixing.shape[1])
        )
        penalties[:, -1] *= FREE
        penalties[:, -1 - len(self.inputs) : -1] *= TOLD
        return ridge.fit(x, (truth * root).astype(np.float32), penalties, FOLDS, self.mixing)

    def _usual(self, errors: Floats) -> Floats:
        """Return the usual size of an error at each hour of the season, (E, season)."""
        season = self.spec.seasons[0]
        before = int(self.rows.targets[0] + self.panel_hour) % season if len(self.rows.targets) else 0
        after = -(before + errors.shape[1]) % season
        size = np.pad(np.abs(errors), ((0, 0), (before, after)), constant_values=np.nan)
        size = size.reshape(len(errors), -1, season)
        count, total = (~np.isnan(size)).sum(axis=1), np.nansum(size, axis=1)
        overall = divide(total.sum(axis=1), count.sum(axis=1))[:, None]
        usual: Floats = (total + SHRINKAGE * overall) / (count + SHRINKAGE)
        return usual

    def _held(self, errors: Floats, usual: Floats, entities: Ints, rows: slice = slice(None)) -> Held:
        """Gather the errors of some rows (all that are given) of some entities."""
        hours = (self.rows.targets[rows] + self.panel_hour) % self.spec.seasons[0]
        found = errors[entities]
        known = ~np.isnan(found)
        leads = np.broadcast_to(self.rows.leads[rows], found.shape)
        return Held(leads[known], found[known], usual[entities][:, hours][known])

    def _boosted(
        self, bank: Bank, fit: ridge.Fit, lagged: Lagged, truth: Floats, weights: Floats,
        own: npt.NDArray[np.bool_], held_out: int,
    ) -> tuple[Bank, Held]:  # fmt: skip
        """Add trees to the ridges; measure the errors of both on the last part of the rows."""
        x = self.with_phases(lagged, self.rows.origins, self.rows.leads)
        trees = Trees.empty(len(x), self.spec.trees, self.spec.depth)
        entities = np.flatnonzero(own)
        for entity in entities.tolist():
            trees.put(entity, self._boost(x[entity], truth[entity], weights[entity]))
        some = entities[:held_out]
        *_, last = ridge.parts(len(self.rows.targets), FOLDS)
        early = Trees.empty(len(x), self.spec.trees, self.spec.depth)
        for entity in some.tolist():
            before = slice(0, last.start)
            if (weights[entity, before] > 0).any():
                early.put(
                    entity, self._boost(x[entity, before], truth[entity, before], weights[entity, before])
                )
        told = (linear(fit.without[-1], lagged.x[:, last]) + early.predict(x[:, last])) / 2
        errors = np.where(weights[:, last] > 0, truth[:, last] - told, np.nan)
        held = self._held(errors, bank.usual.astype(np.float64), some, last)
        return Bank(bank.coefficients, bank.usual, bank.reach, bank.floor, trees), held

    def _boost(self, x: Rows32, y: Floats, weights: Floats) -> xgb.Booster:
        known = weights > 0
        spec = self.spec
        data = xgb.QuantileDMatrix(x[known], y[known], weight=weights[known], max_bin=spec.bins, nthread=1)
        params: dict[str, Any] = {
            "tree_method": "hist",
            "max_bin": spec.bins,
            "max_depth": spec.depth,
            "eta": spec.eta,
            "colsample_bytree": spec.columns,
            "min_child_weight": 5,
            "base_score": 0.0,
            "nthread": 1,
            "seed": spec.seed,
        }
        return xgb.train(params, data, spec.trees)
