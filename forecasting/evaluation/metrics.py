"""Measures of accuracy. Arrays of one shape; an hour whose truth or forecast is missing does not count."""

from __future__ import annotations

import numpy as np

from forecasting.features.panel import Floats


def mae(y: Floats, forecast: Floats, weight: Floats | None = None) -> float:
    """Return the mean absolute error, in the unit of y.

    Args:
        y: The truth.
        forecast: Of the same shape.
        weight: How much each hour counts; alike by default.
    """
    return _mean(np.abs(y - forecast), weight)


def coverage(y: Floats, low: Floats, high: Floats, weight: Floats | None = None) -> float:
    """Return the share of the hours whose truth lies within the bounds, these included.

    Args:
        y: The truth.
        low: Of the same shape.
        high: Of the same shape.
        weight: How much each hour counts; alike by default.
    """
    return _mean(np.where(np.isnan(y + low + high), np.nan, (low <= y) & (y <= high)), weight)


def seasonal_scale(history: Floats, season: int = 24) -> Floats:
    """Return the mean absolute change from one season to the next, of each entity.

    Args:
        history: (hours, entities).
        season: Its length, in hours.

    Returns:
        (entities,); NaN for an entity that has no two values a season apart, or never changed.
    """
    change = np.abs(history[season:] - history[:-season])
    count = (~np.isnan(change)).sum(axis=0)
    total = np.nansum(change, axis=0)
    scale: Floats = np.divide(total, count, out=np.full(total.shape, np.nan), where=total > 0)
    return scale


def _mean(values: Floats, weight: Floats | None) -> float:
    weights = np.ones_like(values) if weight is None else np.broadcast_to(weight, values.shape)
    there = ~np.isnan(values) & (weights > 0)
    return float(np.average(values[there], weights=weights[there])) if there.any() else float("nan")
