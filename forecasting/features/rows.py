"""Features of hourly series, for all entities at once; the same code for training and for prediction.

A row is about one entity, the hour in which a forecast is issued (its *origin*) and a lead. What it holds was known
at the end of the origin's hour. Every value that comes from the series is relative to the entity: its distance from
a base, in units of a scale. So one model serves many entities, small and large.

Two sets of columns are made, see `dense` and `sparse`; what else is known (`past`, `future`, `static` of the panel)
follows them. An input that is known in the future is told for the target's hour, and by how much it differs from the
same hour of the last season.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from forecasting.features.dense import Dense
from forecasting.features.panel import Floats, Ints, Panel
from forecasting.features.sparse import Column, Sparse, mean_of_all
from forecasting.features.spec import FeatureSpec

__all__ = ["FeatureSpec", "Features", "Rows"]


@dataclass(frozen=True, slots=True)
class Rows:
    """Features of (R origins and leads) x (E entities), entities running fastest."""

    x: npt.NDArray[np.float32]  # (R * E, features)
    base: Floats  # (R, E): what a target is measured from
    scale: Floats  # (R, E): its unit, above zero


class Features:
    """The features of one panel; `at` gives them for any origins and leads."""

    def __init__(self, panel: Panel, spec: FeatureSpec) -> None:
        self.panel = panel
        self.spec = spec.chosen_for(panel)
        self._columns: Dense | Sparse = (Dense if self.spec.kind == "dense" else Sparse)(panel, self.spec)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the columns."""
        origin = np.array([len(self.panel) - 1])
        return tuple(name for name, _ in self._all(origin, np.array([1]))[2])

    def at(self, origins: Ints, leads: Ints) -> Rows:
        """Return the rows for R origins (row numbers of the panel) and as many leads (hours, 1 to the horizon)."""
        base, scale, columns = self._all(origins, leads)
        found = list(columns)
        x = np.empty((len(found), *base.shape), np.float32)
        with np.errstate(over="ignore"):  # what float32 cannot hold is missing
            for i, (_, values) in enumerate(found):
                x[i] = values
        x[np.isinf(x)] = np.nan
        return Rows(x.reshape(len(found), -1).T, base, scale)

    @cached_property
    def begun(self) -> npt.NDArray[np.bool_]:
        """Whether an entity was seen up to an hour, (hours, entities): before that nothing is known of it."""
        return np.logical_or.accumulate(self.panel.weight > 0, axis=0)

    def _all(self, origins: Ints, leads: Ints) -> tuple[Floats, Floats, Iterator[Column]]:
        base, scale, columns = self._columns.at(origins, leads)
        return base, scale, self._with_inputs(columns, origins, leads)

    def _with_inputs(self, columns: Iterator[Column], origins: Ints, leads: Ints) -> Iterator[Column]:
        yield from columns
        panel, spec = self.panel, self.spec
        for name in spec.past or ():
            now = panel.past[name][origins]
            yield name, now
            yield f"{name} of all", mean_of_all(now)
        season = spec.seasons[0]
        for name in spec.future or ():
            then = _rows(panel.future[name], origins + leads)
            yield name, then
            yield (
                f"{name}, change",
                then - _rows(panel.future[name], origins + leads - season * -(-leads // season)),
            )
        for name in spec.static or ():
            yield name, panel.static[name][None, :]


def _rows(values: Floats, rows: Ints) -> Floats:
    """Some rows of an input, NaN before its start and after its end."""
    outside = (rows < 0) | (rows >= len(values))
    found: Floats = values[np.clip(rows, 0, len(values) - 1)]
    found[outside] = np.nan
    return found
