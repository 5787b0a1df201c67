"""The estimators, their intervals, and what they give.

Uses `features`. Begin with `global_forecaster`; `forecasts` is what each of them returns.
"""
