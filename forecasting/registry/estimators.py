"""The estimators that come along, by the public names that manifests hold.

A manifest never names one of our modules: they can be moved, and old manifests still be read.
"""

from __future__ import annotations

# public name -> where the class is now
ESTIMATORS = {
    "forecasting:GlobalForecaster": "forecasting.models.global_forecaster:GlobalForecaster",
    "forecasting:PooledForecaster": "forecasting.models.pooled_forecaster:PooledForecaster",
    "forecasting:LocalForecaster": "forecasting.models.local.forecaster:LocalForecaster",
    "forecasting:RegressorForecaster": "forecasting.adapters.regressor:RegressorForecaster",
    "forecasting:MlforecastForecaster": "forecasting.adapters.mlforecast:MlforecastForecaster",
    "forecasting:StatsforecastForecaster": "forecasting.adapters.statsforecast:StatsforecastForecaster",
}

# public name -> what version 0.1.0 wrote into manifests
WRITTEN_BY_0_1_0 = {
    "forecasting:GlobalForecaster": "forecasting.model:GlobalForecaster",
    "forecasting:PooledForecaster": "forecasting.pooled:PooledForecaster",
    "forecasting:LocalForecaster": "forecasting.local.forecaster:LocalForecaster",
    "forecasting:RegressorForecaster": "forecasting.adapters.regressor:RegressorForecaster",
    "forecasting:MlforecastForecaster": "forecasting.adapters.mlforecast:MlforecastForecaster",
    "forecasting:StatsforecastForecaster": "forecasting.adapters.statsforecast:StatsforecastForecaster",
}

# all names that are understood -> where the class is now
PLACES = ESTIMATORS | {old: ESTIMATORS[name] for name, old in WRITTEN_BY_0_1_0.items()}
PUBLIC = {place: name for name, place in ESTIMATORS.items()}
