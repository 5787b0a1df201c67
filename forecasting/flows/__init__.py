"""Forecasting in flows: `with_forecasts`, the inputs that it takes, and what its tasks of training and prediction
call.

Uses all of `forecasting` below it, and flows and tasks of `pipeline`. Begin with `with_forecasts`.
"""
