"""The M4 competition's measures and its benchmark method Naive2 (Makridakis, Spiliotis, Assimakopoulos, 2020).

Arrays of one shape; an hour whose truth or forecast is missing does not count.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from forecasting.features.panel import Floats

CRITICAL = 1.645  # of the normal distribution, 90 % on both sides


def smape(y: Floats, forecast: Floats) -> float:
    """Symmetric mean absolute percentage error, 0 to 200, as the M4 competition defines it.

    An hour in which both are 0 does not count.
    """
    size = np.abs(y) + np.abs(forecast)
    return float(
        np.nanmean(
            np.divide(200 * np.abs(y - forecast), size, out=np.full(size.shape, np.nan), where=size > 0)
        )
    )


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


def naive2(history: Floats, horizon: int, season: int = 24) -> Floats:
    """Forecast series without a gap: history (hours, entities) -> (horizon, entities).

    Series that pass a test of seasonality at 90 % are deseasonalised by classical multiplicative decomposition; the
    last value is repeated, and the season put back. Others repeat their last value as it is.
    """
    hours = len(history)
    indices = np.ones((season, history.shape[1]))
    if hours >= 3 * season and season > 1:
        seasonal = _seasonal(history, season)
        if seasonal.any():
            indices[:, seasonal] = _indices(history[:, seasonal], season)
    last = history[-1] / indices[(hours - 1) % season]
    result: Floats = last * indices[(hours + np.arange(horizon)) % season]
    return result


def _seasonal(history: Floats, season: int) -> npt.NDArray[np.bool_]:
    """Test whether the autocorrelation at the season is more than the shorter ones let expect."""
    centred = history - history.mean(axis=0)
    total = (centred**2).sum(axis=0)
    total = np.where(total > 0, total, 1.0)
    acf = np.stack([(centred[lag:] * centred[:-lag]).sum(axis=0) / total for lag in range(1, season + 1)])
    limit = CRITICAL * np.sqrt((1 + 2 * (acf[:-1] ** 2).sum(axis=0)) / len(history))
    found: npt.NDArray[np.bool_] = np.abs(acf[-1]) > limit
    return found


def _indices(history: Floats, season: int) -> Floats:
    """Seasonal indices: the mean ratio to the centred moving average, an index an hour of the season, mean 1."""
    halved = season % 2 == 0
    kernel = np.ones(season + halved)
    if halved:
        kernel[[0, -1]] = 0.5
    half = season // 2
    trend = np.apply_along_axis(np.convolve, 0, history, kernel / season, mode="valid")
    ratio = history[half : half + len(trend)] / trend
    phase = (np.arange(len(trend)) + half) % season
    indices = np.stack([ratio[phase == k].mean(axis=0) for k in range(season)])
    result: Floats = indices / indices.mean(axis=0)
    return result
