"""Local models: one for each entity by itself, by the tens of thousands. See `forecaster`."""

from __future__ import annotations

from forecasting.local.fitting import LocalSpec
from forecasting.local.forecaster import LocalForecaster

__all__ = ["LocalForecaster", "LocalSpec"]
