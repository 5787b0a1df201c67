"""Features of series that are seen in nearly every hour.

What a target is measured from, its *base*, is the same hour of the last day (of the first season, whatever its
length); its unit, the *scale*, is by how much the series usually changes from one day to the next. Beside the same
hour of earlier days and weeks the features tell how the last hours compare to the same hours a day and a week
before, over several lengths: that is what moves the next ones. So does the *surprise*, by how much an hour differed
from the mean of the same hour in the last days and weeks; and what followed earlier days that went like the last one
(see `analogs`).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from forecasting.features.dense_series import DenseSeries
from forecasting.features.dense_state import State
from forecasting.features.dense_targets import Targets
from forecasting.features.panel import Floats, Ints, Panel
from forecasting.features.spec import FeatureSpec

Column = tuple[str, npt.ArrayLike]


class Dense:
    """The columns of one panel. What is missing in it is NaN in them."""

    def __init__(self, panel: Panel, spec: FeatureSpec) -> None:
        self._series = DenseSeries(panel, spec)

    def at(self, origins: Ints, leads: Ints) -> tuple[Floats, Floats, Iterator[Column]]:
        """Return base and scale, (R, entities) each, and the columns, each of a shape that broadcasts to theirs."""
        different, which = np.unique(origins, return_inverse=True)
        state = State(self._series, different, which)
        targets = Targets(self._series, origins, leads, state)
        return targets.base, targets.scale, _columns(state, targets)


def _columns(state: State, targets: Targets) -> Iterator[Column]:
    for name, values in state.columns():
        # Of one origin one row is enough.
        yield name, values if len(values) == 1 else values[state.which]
    yield from targets.columns()
