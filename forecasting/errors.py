"""The errors of forecasting.

PipelineError
+-- ForecastError
    +-- DataError          data that cannot be made into series
    +-- NotFitted          a model was asked to forecast or to be saved before it was fitted
    +-- ModelError         a stored model is missing, damaged, or was made for other data
    +-- NoForecast         no stored forecast covers the hour that was asked for
"""

from __future__ import annotations

from pipeline.errors import PipelineError


class ForecastError(PipelineError):
    """The base of all errors of forecasting."""


class DataError(ForecastError, ValueError):
    """The data cannot be made into hourly series."""


class NotFitted(ForecastError):
    """The model has to be fitted first."""

    def __init__(self, text: str = "this model was not fitted. Call fit(data) first, or load one.") -> None:
        super().__init__(text)


class ModelError(ForecastError):
    """A stored model is missing, damaged, or was made for other data."""


class NoForecast(ForecastError, LookupError):
    """No stored forecast covers the hour that was asked for."""
