"""Drawing rows for fitting from a history: some targets and leads, all entities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Self

import numpy as np
import numpy.typing as npt

from forecasting.features.panel import Floats, Ints
from forecasting.features.rows import Features

YOUNG = 0.05  # of the rows are drawn from the start of the history, too
BATCH = 100_000  # rows whose features are made at a time, at least an hour's: it bounds the memory


@dataclass(frozen=True, slots=True)
class Sample:
    """n rows with a known truth."""

    x: npt.NDArray[np.float32]  # (n, features)
    y: Floats  # (n,): the truth, less the base, in scales
    weight: Floats  # (n,)
    targets: Ints  # (n,): the row numbers of the hours that they are about
    leads: Ints  # (n,)
    relative: Floats  # (n,): the scale, in truths; infinite where the truth is 0

    def until(self, last: int) -> Self:
        """Return those about hours up to and including `last`."""
        return self._where(self.targets <= last)

    def thinned(self, step: int) -> Self:
        """Return every `step`-th row."""
        return self._where(slice(None, None, step))

    def _where(self, chosen: npt.NDArray[np.bool_] | slice) -> Self:
        return replace(
            self,
            x=self.x[chosen],
            y=self.y[chosen],
            weight=self.weight[chosen],
            targets=self.targets[chosen],
            leads=self.leads[chosen],
            relative=self.relative[chosen],
        )


def draw_all(features: Features, warm_up: int, last: int, max_rows: int, seed: int) -> Sample:
    """Draw from the hours after the warm-up up to `last`; a small share (YOUNG) from those of the warm-up.

    From these a model learns what to make of an entity that is new: much of what is looked at is missing then.
    """
    young = _parts(features, 1, warm_up, int(YOUNG * max_rows), seed)
    return _joined([*_parts(features, warm_up + 1, last, max_rows, seed), *young])


def draw(features: Features, first: int, last: int, max_rows: int, seed: int) -> Sample:
    """Draw about `max_rows` rows about the hours from `first` to `last`, both included; all where there are fewer.

    Every hour is drawn with every lead alike, so that leads can be compared.
    """
    return _joined(_parts(features, first, last, max_rows, seed))


def _parts(features: Features, first: int, last: int, max_rows: int, seed: int) -> list[Sample]:
    panel, horizon = features.panel, features.spec.horizon
    first = max(first, horizon)  # so that the origin of the longest lead lies in the panel
    count = max(last - first + 1, 0) * horizon
    observed = float((panel.weight[first : last + 1] > 0).sum()) * horizon
    rng = np.random.default_rng(seed)
    wanted = count if observed <= max_rows else int(count * max_rows / observed)
    pairs = np.sort(rng.permutation(count)[:wanted])
    targets, leads = first + pairs // horizon, 1 + pairs % horizon
    step = max(BATCH // max(len(panel.entities), 1), 1)
    return [
        _rows(features, targets[i : i + step], leads[i : i + step])
        for i in range(0, max(len(targets), 1), step)
    ]


def _rows(features: Features, targets: Ints, leads: Ints) -> Sample:
    panel = features.panel
    rows = features.at(targets - leads, leads)
    known = ((panel.weight[targets] > 0) & features.begun[targets - leads]).ravel()
    truth, entities = panel.y[targets], len(panel.entities)
    with np.errstate(divide="ignore"):
        relative = rows.scale / np.abs(truth)
    return Sample(
        rows.x[known],
        ((truth - rows.base) / rows.scale).ravel()[known],
        panel.weight[targets].ravel()[known],
        np.repeat(targets, entities)[known],
        np.repeat(leads, entities)[known],
        relative.ravel()[known],
    )


def _joined(parts: Sequence[Sample]) -> Sample:
    names = [field.name for field in fields(Sample)]
    return Sample(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in names})
