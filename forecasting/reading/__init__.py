"""The freshest forecast for an hour, however old; what answers where none is stored; and how long forecasts last.

Uses `models` and `features`, and the engine's pipe store. Begin with `reader`.
"""
