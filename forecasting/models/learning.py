"""How a model is fitted, and the boosted trees that are: one model of the mean, one of the quantiles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import xgboost as xgb

from forecasting.features.panel import Floats
from forecasting.features.sampling import Sample
from forecasting.models.intervals import alphas

BINS = 64  # of each feature: as good as 256, at half the cost
FARTHEST = 30.0  # scales: a target that is farther off counts as this far
BEND = 0.3  # scales from which on an error of the robust loss counts in proportion, not squared
RELATIVE = 6.0  # an error of the truth's size counts as much as so many errors of one scale
HEAVIEST = 13.0  # what the relative part of a weight may add to the 1 of the scaled part


# Sparse series are mostly noise: what little can be learned of them shallow trees with large leaves learn best.
SHAPES: Mapping[str, Mapping[str, float]] = {
    "dense": {"max_depth": 11, "min_child_weight": 25, "lambda": 1, "eta": 0.1},
    "sparse": {"max_depth": 5, "min_child_weight": 150, "lambda": 10, "eta": 0.12},
}
# Of the quantiles. A tail is told from a leaf of many rows only; deep trees need all rows for that.
QUANTILE_SHAPES: Mapping[str, Mapping[str, float]] = {
    "dense": {"max_depth": 9, "min_child_weight": 60},
    "sparse": {"max_depth": 7, "min_child_weight": 150},
}
QUANTILE_THINNING = {"dense": 1, "sparse": 2}  # every so many of the rows drawn
ROUNDS = {"dense": 65, "sparse": 150}
# Two that saw different rows are better than one of as many trees as both together.
MEMBERS = {"dense": 2, "sparse": 1}
QUANTILE_MEMBERS = {"dense": 2, "sparse": 1}
LEAVES = 600  # a leaf need not hold more than this part of the rows: where these are few, leaves are small
ROWS = {"dense": 500_000, "sparse": 100_000}
ENOUGH = 2  # rows for an observation: the same hour with further leads tells little more
FEWEST = 100_000  # that are drawn, where there are as many


@dataclass(frozen=True, slots=True)
class Fitting:
    """How a model is fitted. What is None is chosen by the kind of the series.

    Args:
        loss: "robust": beyond half a scale an error counts in proportion; or "squared".
        relative: Whether errors also count by their share of the truth, as sMAPE and percentages do; None: where no
            observation is zero or below.
        members: Models whose average is the mean model; None: 2 for dense series, 1 for sparse ones.
        rounds: Trees of each of them; None: 65 for dense series, 150 for sparse ones.
        quantile_members: Models whose average is the quantiles'; None: 2 for dense series, 1 for sparse ones.
        quantile_rounds: Trees of each quantile in each of them.
        depth: Of a tree of the mean model; None: deep for dense series, shallow for sparse ones.
        quantile_depth: Of a tree of the quantiles; None: 9 for dense series, 7 for sparse ones.
        eta: Learning rate of the mean model; None: 0.1 for dense series, 0.12 for sparse ones.
        quantile_eta: Learning rate of the quantiles.
        max_rows: Rows that are drawn from the history for each of them; None: as many as bring something, 500,000 of
            dense series (fewer where there are not 250,000 observations), 100,000 of sparse ones.
        warm_up: Hours at the start of the history that only serve as the past of later ones.
        held_out: Hours at its end that calibrate the intervals.
        threads: Of a fit; 1 is safe in a forked Celery child.
        seed: Of the draw and of the trees: the same data give the same model.

    Raises:
        ValueError: There is no such loss, or there are no members.

    Example:
        >>> Fitting(rounds=30, threads=2).trees("dense"), Fitting().trees("dense")
        (30, 65)
    """

    loss: Literal["robust", "squared"] = "robust"
    relative: bool | None = None
    members: int | None = None
    rounds: int | None = None
    quantile_members: int | None = None
    quantile_rounds: int = 60
    depth: int | None = None
    quantile_depth: int | None = None
    eta: float | None = None
    quantile_eta: float = 0.12
    max_rows: int | None = None
    warm_up: int = 200
    held_out: int = 168
    threads: int = 1
    seed: int = 1

    def __post_init__(self) -> None:
        if self.loss not in ("robust", "squared"):
            raise ValueError(f"loss={self.loss!r} is unknown. Use 'robust' or 'squared'.")
        for name in ("members", "quantile_members"):
            count = getattr(self, name)
            if count is not None and count < 1:
                raise ValueError(f"{name}={count} make no model. Use 1 or more.")

    def rows(self, kind: str, observations: int) -> int:
        """Return how many rows are drawn from series of a kind with so many observations in all."""
        if self.max_rows is not None:
            return self.max_rows
        return min(ROWS[kind], max(ENOUGH * observations, FEWEST))

    def counts(self, kind: str) -> tuple[int, int]:
        """Return how many members the mean model and the quantile model of a kind have."""
        mean, quantile = self.members, self.quantile_members
        return (
            MEMBERS[kind] if mean is None else mean,
            QUANTILE_MEMBERS[kind] if quantile is None else quantile,
        )

    def each(self, kind: str) -> list[Fitting]:
        """Return how the members of a kind are fitted: each with a draw of its own.

        They share the threads: two members on a thread each are fitted quicker than one after the other on two.
        """
        count = max(self.counts(kind))
        threads = max(self.threads // min(count, self.threads), 1)
        return [replace(self, seed=self.seed + i, threads=threads) for i in range(count)]

    def trees(self, kind: str) -> int:
        """Return how many trees the mean model of a kind has."""
        return ROUNDS[kind] if self.rounds is None else self.rounds


def fit_mean(
    sample: Sample, names: Sequence[str], fitting: Fitting, kind: str, relative: bool
) -> xgb.Booster:
    """Fit the model of the mean to series of a kind; `relative`: errors count by their share of the truth, too."""
    y = np.clip(sample.y, -FARTHEST, FARTHEST)
    weight = weights(sample, relative)
    own = {"max_depth": fitting.depth, "eta": fitting.eta}
    params = _params(fitting, kind, len(y), base_score=0.0, **{k: v for k, v in own.items() if v is not None})
    if fitting.loss == "squared":
        data = _matrix(sample.x, y, names, fitting, weight=weight)
        return xgb.train(params, data, fitting.trees(kind))
    data = _matrix(sample.x, y, names, fitting)
    params["disable_default_eval_metric"] = 1

    def robust(margin: Floats, _: xgb.DMatrix) -> tuple[Floats, Floats]:
        return robust_loss(margin, y, weight)

    return xgb.train(params, data, fitting.trees(kind), obj=robust)


def robust_loss(margin: Floats, y: Floats, weight: Floats) -> tuple[Floats, Floats]:
    """Return gradient and curvature of sqrt(error² + BEND²).

    The curvature is that of the parabola that touches the loss from above (as in reweighted least squares), not the
    second derivative: with it a leaf's step never overshoots, however far off its rows are.
    """
    error = margin - y
    curvature = weight / np.sqrt(error * error + BEND * BEND)
    return curvature * error, curvature


def weights(sample: Sample, relative: bool) -> Floats:
    """Return how much each row counts: the observation's weight, times what an error of one scale means. Mean 1."""
    weight = sample.weight.astype(np.float64)
    if relative:
        weight = weight * (1 + np.minimum(RELATIVE * sample.relative, HEAVIEST))
    mean: float = weight.mean()
    return weight / mean


def fit_quantiles(sample: Sample, names: Sequence[str], fitting: Fitting, kind: str) -> xgb.Booster:
    """Fit the model of the quantiles that bound the intervals."""
    sample = sample.thinned(QUANTILE_THINNING[kind])
    shape = QUANTILE_SHAPES[kind]
    params = _params(
        fitting,
        kind,
        len(sample.y),
        objective="reg:quantileerror",
        quantile_alpha=alphas(),
        eta=fitting.quantile_eta,
        max_depth=shape["max_depth"] if fitting.quantile_depth is None else fitting.quantile_depth,
        min_child_weight=_leaf(shape, len(sample.y)),
    )
    data = _matrix(sample.x, np.clip(sample.y, -FARTHEST, FARTHEST), names, fitting)
    return xgb.train(params, data, fitting.quantile_rounds)


def _params(fitting: Fitting, kind: str, rows: int, **more: Any) -> dict[str, Any]:
    shape = SHAPES[kind]
    return {
        "tree_method": "hist",
        "max_bin": BINS,
        "subsample": 0.7,
        "colsample_bytree": 0.5,
        "nthread": fitting.threads,
        "seed": fitting.seed,
        **shape,
        "min_child_weight": _leaf(shape, rows),
    } | more


def _leaf(shape: Mapping[str, float], rows: int) -> float:
    """Return the least weight of a leaf: small where there are few rows."""
    return min(shape["min_child_weight"], max(rows / LEAVES, 1.0))


def _matrix(
    x: npt.NDArray[np.float32], y: Floats, names: Sequence[str], fitting: Fitting, **more: Any
) -> xgb.QuantileDMatrix:
    return xgb.QuantileDMatrix(x, y, feature_names=list(names), max_bin=BINS, nthread=fitting.threads, **more)
