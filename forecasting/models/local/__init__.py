"""Local models: one for each entity by itself, by the tens of thousands.

Uses `models` and `features`. Begin with `forecaster`.
"""

from __future__ import annotations

from forecasting.models.local.fitting import LocalSpec
from forecasting.models.local.forecaster import LocalForecaster

__all__ = ["LocalForecaster", "LocalSpec"]
