"""What is known of the hours to come, as features of local models."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Self

import numpy as np
import numpy.typing as npt

from forecasting.features.panel import Floats, Ints, Panel

Rows32 = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Inputs:
    """How far each input is, in the target's hour, from where it was in the base's: what explains a change.

    scales   name -> the usual (root mean square) change of an input from season to season, over all entities
    """

    scales: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))

    @classmethod
    def measured(cls, panel: Panel, names: Iterable[str], season: int) -> Self:
        """Measure the scales on a history; an input that never changes tells nothing, whatever its scale."""
        scales = {}
        for name in names:
            values = panel.future[name][: len(panel)]
            change = values[season:] - values[:-season]
            square = np.square(change[~np.isnan(change)])
            scales[name] = float(np.sqrt(square.mean())) if square.any() else 1.0
        return cls(MappingProxyType(scales))

    def __len__(self) -> int:
        return len(self.scales)

    def at(self, panel: Panel, entities: slice, targets: Ints, bases: Ints) -> Rows32:
        """Return the features of some entities at R targets and bases (rows), (E, R, inputs); unknown ones are 0."""
        found = [
            _change(panel.future[name][:, entities], targets, bases) / self.scales[name]
            for name in self.scales
        ]
        return np.nan_to_num(np.stack(found, axis=2), copy=False).astype(np.float32)


def _change(values: Floats, targets: Ints, bases: Ints) -> Floats:
    """Return the change from one row to another, (E, R); NaN after the end of the input."""
    change: Floats = values[np.minimum(targets, len(values) - 1)] - values[np.minimum(bases, len(values) - 1)]
    change[targets >= len(values)] = np.nan
    return change.T
