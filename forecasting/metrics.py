"""Measures of accuracy. Arrays of one shape; an hour whose truth or forecast is missing does not count."""

from __future__ import annotations

import numpy as np

from forecasting.panel import Floats


def mae(y: Floats, forecast: Floats, weight: Floats | None = None) -> float:
    """Mean absolute error, in the unit of y."""
    return _mean(np.abs(y - forecast), weight)


def rmse(y: Floats, forecast: Floats, weight: Floats | None = None) -> float:
    """Root of the mean squared error, in the unit of y."""
    return float(np.sqrt(_mean((y - forecast) ** 2, weight)))


def coverage(y: Floats, low: Floats, high: Floats, weight: Floats | None = None) -> float:
    """The share of the hours whose truth lies within the bounds, these included."""
    inside = np.where(np.isnan(y + low + high), np.nan, (low <= y) & (y <= high))
    return _mean(inside, weight)


def pinball(y: Floats, forecast: Floats, quantile: float, weight: Floats | None = None) -> float:
    """The loss that the given quantile minimises, in the unit of y."""
    error = y - forecast
    return _mean(np.maximum(quantile * error, (quantile - 1) * error), weight)


def interval_score(y: Floats, low: Floats, high: Floats, level: float, weight: Floats | None = None) -> float:
    """Width plus the penalty for what lies outside (Gneiting and Raftery, 2007); `level` like 0.95."""
    penalty = np.maximum(low - y, 0) + np.maximum(y - high, 0)
    return _mean(high - low + 2 / (1 - level) * penalty, weight)


def _mean(values: Floats, weight: Floats | None) -> float:
    weights = np.ones_like(values) if weight is None else np.broadcast_to(weight, values.shape)
    there = ~np.isnan(values) & (weights > 0)
    return float(np.average(values[there], weights=weights[there])) if there.any() else float("nan")
