"""Boosted trees of many entities as plain arrays: read from XGBoost once, and evaluated by numpy for all at once.

A Booster an entity costs a megabyte of memory for ten and half a millisecond to load. As arrays ten thousand small
models are one file, and to forecast with them needs no OpenMP, which a forked child had better not meet.

Each tree is complete: a node that XGBoost did not split sends everything to the left.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
import xgboost as xgb

from forecasting.features.panel import Floats

Rows32 = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Trees:
    """T trees of depth D for each of E entities."""

    # (E, T, 2**D - 1): which one a node asks; the children of i are 2i + 1 and 2i + 2
    features: npt.NDArray[np.uint8]
    thresholds: Rows32  # (E, T, 2**D - 1): below it to the left
    leaves: Rows32  # (E, T, 2**D)

    def __len__(self) -> int:
        return len(self.features)

    @classmethod
    def empty(cls, entities: int, trees: int, depth: int) -> Trees:
        """Return trees that say 0."""
        nodes = 2**depth - 1
        return cls(
            np.zeros((entities, trees, nodes), np.uint8),
            np.full((entities, trees, nodes), np.inf, np.float32),
            np.zeros((entities, trees, nodes + 1), np.float32),
        )

    def put(self, entity: int, booster: xgb.Booster) -> None:
        """Take over the trees of a booster of at most this depth, which was fitted without missing values."""
        model: dict[str, Any] = orjson.loads(bytes(booster.save_raw("json")))
        trees = model["learner"]["gradient_booster"]["model"]["trees"]
        start = np.cumsum([0, *(len(tree["left_children"]) for tree in trees[:-1])])
        left, right, feature = (
            _flat(np.int64, trees, name) for name in ("left_children", "right_children", "split_indices")
        )
        value = _flat(np.float32, trees, "split_conditions")
        node = np.asarray(start)[:, None]  # of each tree, those of the level, from left to right
        root = node.copy()
        depth = (self.features.shape[2] + 1).bit_length() - 1
        for level in range(depth):
            first, stop = 2**level - 1, 2 ** (level + 1) - 1
            split = left[node] >= 0
            self.features[entity, : len(trees), first:stop] = np.where(split, feature[node], 0)
            self.thresholds[entity, : len(trees), first:stop] = np.where(split, value[node], np.inf)
            children = [np.where(split, root + side[node], node) for side in (left, right)]
            node = np.stack(children, axis=-1).reshape(len(trees), -1)
            root = np.broadcast_to(root[:, :1], node.shape)
        self.leaves[entity, : len(trees)] = value[node]

    def of(self, entities: Sequence[int] | npt.NDArray[np.int64]) -> Trees:
        """Return those of some entities."""
        return Trees(self.features[entities], self.thresholds[entities], self.leaves[entities])

    def predict(self, x: Rows32) -> Floats:
        """Return what the trees say to x (E, R, features): (E, R)."""
        entities, rows, width = x.shape
        count, nodes = self.features.shape[1:]
        trees = np.arange(entities * count).reshape(entities, 1, count)
        row = np.arange(entities * rows).reshape(entities, rows, 1) * width
        features, thresholds, values = self.features.ravel(), self.thresholds.ravel(), x.ravel()
        node = np.zeros((entities, rows, count), np.int64)
        while node.flat[0] < nodes if node.size else False:
            place = trees * nodes + node
            node = 2 * node + 1 + (values[row + features[place]] >= thresholds[place])
        told: Floats = self.leaves.ravel()[trees * (nodes + 1) + node - nodes].sum(axis=2, dtype=np.float64)
        return told


def _flat(kind: type[np.generic], trees: Iterable[Any], name: str) -> Any:
    return np.fromiter(chain.from_iterable(tree[name] for tree in trees), kind)
