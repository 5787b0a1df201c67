"""The names of a forecast's columns, as they stand in pipes and in the long format."""

from __future__ import annotations

LEVELS = (80, 95)  # percent of the hours that the intervals are to cover
BOUNDS = tuple(f"{side}-{level}" for level in LEVELS for side in ("lo", "hi"))  # lo-80, hi-80, lo-95, hi-95
MEAN = "mean"
MODEL = "model"  # in a pipe: the version of the model that made it
WIDENED = (
    "widened"  # in a pipe: level -> by how much recalibration widened its intervals, see `recalibration`
)
OBSERVED = "of"  # in a pipe: the name of the numeric pipe that it forecasts

# Where an answer came from, best first.
FRESH, OLDER, RIDGE, NAIVE = "fresh", "older", "ridge", "seasonal naive"
