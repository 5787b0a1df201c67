"""Forecasts of hourly series: features, models, intervals, backtests, a registry of models, and their readers.

    from forecasting import with_forecasts

    forecast a pipe     with_forecasts; Forecasting for its parts
    read forecasts      read_forecast, read_forecasts, Forecast; cover, covers, Cover: for how long there are some
    estimators          GlobalForecaster and Fitting, PooledForecaster, LocalForecaster and LocalSpec; FeatureSpec
      of other libraries  RegressorForecaster, MlforecastForecaster, StatsforecastForecaster; Adapter, for one's own
      to be better than   SeasonalNaive, TrailingMean, Constant; Forecaster, what a backtest asks of a model
    what they compute in  Panel, Forecasts
    backtests           Backtest, by_age, relative, draw_backtest
      as a wave         backtest_folds, backtest_table, Measured
    compare versions    score_versions, Scores
    accuracy            mae, coverage, seasonal_scale
    models that are kept  Registry, process_registry, ModelSettings, Manifest, Live, Event, Storable
      and promoted      Gate, Decision, Promotion, PromotionRefused
    errors              ForecastError: DataError, NotFitted, ModelError, NoForecast

Each name is loaded when it is used, so that a reader of forecasts does not pay for what a trainer needs. The extra
`celery-waves[forecasting]` brings what the models need; [sklearn], [pictures] and [aws] more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.lazy import public

if TYPE_CHECKING:
    from forecasting.adapters.base import Adapter
    from forecasting.adapters.mlforecast import MlforecastForecaster
    from forecasting.adapters.regressor import RegressorForecaster
    from forecasting.adapters.statsforecast import StatsforecastForecaster
    from forecasting.errors import DataError, ForecastError, ModelError, NoForecast, NotFitted
    from forecasting.evaluation.backtest import Backtest, by_age, relative
    from forecasting.evaluation.backtest_waves import Measured, backtest_folds, backtest_table
    from forecasting.evaluation.compare import Scores, score_versions
    from forecasting.evaluation.metrics import (
        coverage,
        mae,
        seasonal_scale,
    )
    from forecasting.evaluation.pictures import draw_backtest
    from forecasting.features.panel import Panel
    from forecasting.features.spec import FeatureSpec
    from forecasting.flows.with_forecasts import Forecasting, with_forecasts
    from forecasting.models.forecasts import Forecasts
    from forecasting.models.global_forecaster import GlobalForecaster
    from forecasting.models.learning import Fitting
    from forecasting.models.local import LocalForecaster, LocalSpec
    from forecasting.models.naive import Constant, Forecaster, SeasonalNaive, TrailingMean
    from forecasting.models.pooled_forecaster import PooledForecaster
    from forecasting.reading.cover import Cover, cover, covers
    from forecasting.reading.reader import Forecast, read_forecast, read_forecasts
    from forecasting.registry import (
        Decision,
        Event,
        Gate,
        Live,
        Manifest,
        ModelSettings,
        Promotion,
        PromotionRefused,
        Registry,
        Storable,
        process_registry,
    )
else:
    __getattr__, __dir__ = public(
        __name__,
        {
            "forecasting.adapters.base [forecasting]": "Adapter",
            "forecasting.adapters.mlforecast [forecasting]": "MlforecastForecaster",
            "forecasting.adapters.regressor [forecasting]": "RegressorForecaster",
            "forecasting.adapters.statsforecast [forecasting]": "StatsforecastForecaster",
            "forecasting.errors": "DataError ForecastError ModelError NoForecast NotFitted",
            "forecasting.evaluation.backtest [forecasting]": "Backtest by_age relative",
            "forecasting.evaluation.backtest_waves [forecasting]": "Measured backtest_folds backtest_table",
            "forecasting.evaluation.compare [forecasting]": "Scores score_versions",
            "forecasting.evaluation.metrics [forecasting]": ("coverage mae seasonal_scale"),
            "forecasting.evaluation.pictures [pictures]": "draw_backtest",
            "forecasting.features.panel [forecasting]": "Panel",
            "forecasting.features.spec [forecasting]": "FeatureSpec",
            "forecasting.flows.with_forecasts [forecasting]": "Forecasting with_forecasts",
            "forecasting.models.forecasts [forecasting]": "Forecasts",
            "forecasting.models.global_forecaster [forecasting]": "GlobalForecaster",
            "forecasting.models.learning [forecasting]": "Fitting",
            "forecasting.models.local [forecasting]": "LocalForecaster LocalSpec",
            "forecasting.models.naive [forecasting]": ("Constant Forecaster SeasonalNaive TrailingMean"),
            "forecasting.models.pooled_forecaster [forecasting]": "PooledForecaster",
            "forecasting.reading.cover": "Cover cover covers",
            "forecasting.reading.reader": "Forecast read_forecast read_forecasts",
            "forecasting.registry": (
                "Decision Event Gate Live Manifest ModelSettings Promotion PromotionRefused Registry "
                "Storable process_registry"
            ),
        },
    )

__all__ = [
    "Adapter", "Backtest", "Constant", "Cover", "DataError", "Decision", "Event", "FeatureSpec",
    "Fitting", "Forecast", "ForecastError", "Forecaster", "Forecasting", "Forecasts", "Gate",
    "GlobalForecaster", "Live", "LocalForecaster", "LocalSpec", "Manifest", "Measured",
    "MlforecastForecaster", "ModelError", "ModelSettings", "NoForecast", "NotFitted", "Panel",
    "PooledForecaster", "Promotion", "PromotionRefused", "Registry", "RegressorForecaster", "Scores",
    "SeasonalNaive", "StatsforecastForecaster", "Storable", "TrailingMean", "backtest_folds",
    "backtest_table", "by_age", "cover", "coverage", "covers", "draw_backtest", "mae", "process_registry",
    "read_forecast", "read_forecasts", "relative", "score_versions", "seasonal_scale", "with_forecasts",
]  # fmt: skip
