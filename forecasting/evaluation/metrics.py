"""Measures of accuracy. Arrays of one shape; an hour whose truth or forecast is missing does not count."""

from __future__ import annotations

import numpy as np

from forecasting.features.panel import Floats


def mae(y: Floats, forecast: Floats, weight: Floats | None = None) -> float:
    """Mean absolute error, in the unit of y."""
    return _mean(np.abs(y - forecast), weight)


def rmse(y: Floats, forecast: Floats, weight: Floats | None = None) -> float:
    """Root of the mean squared error, in the unit of y."""
    return float(np.sqrt(_mean((y - forecast) ** 2, weight)))


def coverage(y: Floats, low: Floats, high: Floats, weight: Floats | None = None) -> float:
    """The share of the hours whose truth lies within the bounds, these included."""
    return _mean(covered(y, low, high), weight)


def pinball(y: Floats, forecast: Floats, quantile: float, weight: Floats | None = None) -> float:
    """The loss that the given quantile minimises, in the unit of y."""
    error = y - forecast
    return _mean(np.maximum(quantile * error, (quantile - 1) * error), weight)


def interval_score(y: Floats, low: Floats, high: Floats, level: float, weight: Floats | None = None) -> float:
    """Width plus the penalty for what lies outside (Gneiting and Raftery, 2007); `level` like 0.95."""
    return _mean(_interval_scores(y, low, high, level), weight)


def smape(y: Floats, forecast: Floats, weight: Floats | None = None) -> float:
    """Symmetric mean absolute percentage error, 0 to 200, as the M4 competition defines it.

    An hour in which both are 0 does not count.
    """
    size = np.abs(y) + np.abs(forecast)
    return _mean(
        np.divide(200 * np.abs(y - forecast), size, out=np.full(size.shape, np.nan), where=size > 0), weight
    )


def seasonal_scale(history: Floats, season: int = 24) -> Floats:
    """Mean absolute change from one season to the next, of each entity: history (hours, entities) -> (entities,).

    NaN for an entity that has no two values a season apart, or never changed.
    """
    change = np.abs(history[season:] - history[:-season])
    count = (~np.isnan(change)).sum(axis=0)
    total = np.nansum(change, axis=0)
    scale: Floats = np.divide(total, count, out=np.full(total.shape, np.nan), where=total > 0)
    return scale


def mase(y: Floats, forecast: Floats, scale: Floats) -> Floats:
    """Mean absolute scaled error of each entity (Hyndman and Koehler, 2006); scale by `seasonal_scale`.

    y and forecast (hours, entities) -> (entities,); NaN where the scale is, or where nothing can be compared.
    """
    result: Floats = _by_entity(np.abs(y - forecast)) / scale
    return result


def owa(smape_: float, mase_: float, naive_smape: float, naive_mase: float) -> float:
    """Overall weighted average of the M4 competition: the mean of both measures relative to Naive2's."""
    return (smape_ / naive_smape + mase_ / naive_mase) / 2


def msis(y: Floats, low: Floats, high: Floats, scale: Floats, level: float = 0.95) -> Floats:
    """Mean scaled interval score of each entity, as in the M4 competition: (hours, entities) -> (entities,)."""
    result: Floats = _by_entity(_interval_scores(y, low, high, level)) / scale
    return result


def covered(y: Floats, low: Floats, high: Floats) -> Floats:
    """1 where the truth lies within the bounds, these included, 0 where not, NaN where something is missing."""
    return np.where(np.isnan(y + low + high), np.nan, (low <= y) & (y <= high))


def share_worse(errors: Floats, rival: Floats) -> float:
    """The share of the entities with a larger error than a rival's, of those where both are known."""
    known = ~np.isnan(errors + rival)
    return float((errors[known] > rival[known]).mean()) if known.any() else float("nan")


def _interval_scores(y: Floats, low: Floats, high: Floats, level: float) -> Floats:
    penalty = np.maximum(low - y, 0) + np.maximum(y - high, 0)
    scores: Floats = high - low + 2 / (1 - level) * penalty
    return scores


def _by_entity(values: Floats) -> Floats:
    """The mean over the hours that are there, (hours, entities) -> (entities,)."""
    count = (~np.isnan(values)).sum(axis=0)
    mean: Floats = np.divide(
        np.nansum(values, axis=0), count, out=np.full(count.shape, np.nan), where=count > 0
    )
    return mean


def _mean(values: Floats, weight: Floats | None) -> float:
    weights = np.ones_like(values) if weight is None else np.broadcast_to(weight, values.shape)
    there = ~np.isnan(values) & (weights > 0)
    return float(np.average(values[there], weights=weights[there])) if there.any() else float("nan")
