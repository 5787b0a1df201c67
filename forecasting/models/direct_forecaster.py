"""Direct: what estimators share that forecast each lead by itself, from any hours of a panel."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Generic, Protocol, TypeVar

import numpy as np
import pandas as pd

from forecasting.features.panel import Ints, Panel
from forecasting.features.spec import FeatureSpec
from forecasting.models.forecasts import Forecasts


class _Spec(Protocol):
    @property
    def horizon(self) -> int: ...


S = TypeVar("S", bound=_Spec)


class Direct(ABC, Generic[S]):
    """An estimator whose `forecast_at` is all that differs; `spec.horizon` is its largest lead, in hours."""

    spec: S

    @abstractmethod
    def forecast_at(self, panel: Panel, origins: Ints, leads: Ints, *, intervals: bool = True) -> Forecasts:
        """Forecast from R origins (row numbers of the panel), each for its lead, as if it were that hour.

        Raises NotFitted, and DataError for a panel that lacks an input.
        """

    def predict(self, data: Panel | pd.DataFrame) -> pd.DataFrame:
        """Forecast the hours after the last one, in the long format: unique_id, ds, lead, mean, lo-80, ..."""
        return self.forecast(self._panel(data)).to_long()

    def forecast(self, panel: Panel, *, intervals: bool = True) -> Forecasts:
        """Forecast the leads 1 to `horizon` from the panel's last hour."""
        leads = np.arange(1, self.spec.horizon + 1)
        return self.forecast_at(panel, np.full(len(leads), len(panel) - 1), leads, intervals=intervals)

    @abstractmethod
    def _panel(self, data: Panel | pd.DataFrame) -> Panel:
        """Build a panel of the long format, with the inputs that the estimator is told."""


def panel_of(data: Panel | pd.DataFrame, spec: FeatureSpec) -> Panel:
    """Build a panel of the long format, with the inputs that a spec names; a panel stays. Raises DataError."""
    if isinstance(data, Panel):
        return data
    return Panel.from_long(data, past=spec.past or (), future=spec.future or (), static=spec.static or ())
