"""Ridge regressions of many entities at once, in closed form: batched linear algebra, no loop an entity.

A ridge is fitted with each of several contiguous parts of its rows left out as well: sums of products of the other
parts are all that it takes, so that honest errors cost a few small systems of equations more.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from forecasting.features.panel import Floats

Array = npt.NDArray[np.float64] | npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Fit:
    """What was fitted to E entities of R rows and F features."""

    coefficients: Floats  # (E, F)
    without: Floats  # (folds, E, F): with each part left out
    errors: Floats  # (E, R): of each row, by the coefficients that the other parts have
    gram: Floats  # (columns, columns): the sums of the equations over all entities, penalties included
    side: Floats  # (columns,)


def fit(x: Array, y: Array, penalties: Floats, folds: int, mixing: Floats | None = None) -> Fit:
    """Fit y (E, R) to x (E, R, F); a row of zeros in both counts as none.

    penalties  of each coefficient, (E, columns): what is added to the sum of squares of its column
    folds      contiguous parts of the rows
    mixing     (F, columns): fit to x @ mixing; the coefficients are those of x nevertheless
    """
    mix = np.eye(x.shape[2]) if mixing is None else mixing
    cuts = list(parts(x.shape[1], folds))
    turned = x.transpose(0, 2, 1)
    grams = [mix.T @ np.matmul(turned[..., cut], x[:, cut]).astype(np.float64) @ mix for cut in cuts]
    sides = [mix.T @ np.matmul(turned[..., cut], y[:, cut, None]).astype(np.float64) for cut in cuts]
    gram = np.add.reduce(grams) + penalties[:, :, None] * np.eye(mix.shape[1])
    side = np.add.reduce(sides)
    errors, without = np.empty(y.shape), []
    for cut, own_gram, own_side in zip(cuts, grams, sides, strict=True):
        found = np.linalg.solve(gram - own_gram, side - own_side)[..., 0] @ mix.T
        errors[:, cut] = y[:, cut] - np.matmul(x[:, cut], found.astype(x.dtype)[..., None])[..., 0]
        without.append(found)
    own = np.linalg.solve(gram, side)[..., 0] @ mix.T
    return Fit(own, np.stack(without), errors, gram.sum(axis=0), side.sum(axis=0)[..., 0])


def common(fits: list[Fit], mixing: Floats) -> Floats:
    """Return the coefficients (F,) that all entities of some fits have together."""
    gram, side = (np.add.reduce([getattr(one, name) for one in fits]) for name in ("gram", "side"))
    found: Floats = np.linalg.solve(gram, side) @ mixing.T
    return found


def parts(rows: int, folds: int) -> Iterator[slice]:
    """Cut rows into contiguous parts of about one size."""
    edges = np.linspace(0, rows, folds + 1).astype(int).tolist()
    yield from (slice(first, stop) for first, stop in pairwise(edges))
