"""Forecasters of other libraries, as a user would make them."""

from __future__ import annotations

from mlforecast import MLForecast
from mlforecast.target_transforms import Differences, LocalStandardScaler
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import Ridge
from statsforecast import StatsForecast
from statsforecast.models import MSTL
from xgboost import XGBRegressor


def boosted() -> MLForecast:
    return MLForecast(
        {"xgboost": XGBRegressor(n_estimators=20, max_depth=4, n_jobs=1), "ridge": Ridge()},
        freq="h",
        lags=[1, 24, 168],
        target_transforms=[Differences([24]), LocalStandardScaler()],
        date_features=["hour"],
    )


def pickled() -> MLForecast:
    class Own(Ridge):
        pass

    return MLForecast({"own": Own()}, freq="h", lags=[24])


def trees() -> HistGradientBoostingRegressor:
    return HistGradientBoostingRegressor(max_iter=20)


def decomposed() -> StatsForecast:
    return StatsForecast([MSTL(season_length=[24, 168])], freq="h", n_jobs=1)
