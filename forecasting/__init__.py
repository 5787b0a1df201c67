"""Forecasts of hourly series: features, models, intervals, backtest, registry, reader.

Nothing is imported here, so that a reader of forecasts does not pay for what a trainer needs.
"""
