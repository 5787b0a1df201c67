"""A flow with forecasts of one of its pipes by one line."""

from __future__ import annotations

from forecasting import FeatureSpec, Fitting, Forecasting, GlobalForecaster, with_forecasts
from pipeline import Flow, State, task

shops = State("shops", partition_by="region")


@task
def demand(date):
    return 50.0 + date.hour


def small() -> GlobalForecaster:
    return GlobalForecaster(
        FeatureSpec(horizon=6), Fitting(rounds=30, quantile_rounds=5, max_rows=3000, eta=0.2, depth=4)
    )


flow = Flow("shop", [demand], state=shops, schedule="59 * * * *")
options = {"model": small, "history": "15d", "lookback": "10d", "check": "3d"}
flow, training = with_forecasts(flow, "demand", **options)
backtest = Forecasting("demand", **options).backtest(flow, folds=2)
