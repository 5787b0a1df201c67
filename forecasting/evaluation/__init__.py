"""How good forecasts are: backtests, measures of accuracy, and comparisons of versions.

Uses `models`, `reading` and `registry`. Begin with `backtest`.
"""
