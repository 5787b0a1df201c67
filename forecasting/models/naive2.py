"""Naive2: the benchmark method of the M4 competition (Makridakis, Spiliotis, Assimakopoulos, 2020).

Series that pass a test of seasonality at 90 % are deseasonalised by classical multiplicative decomposition; the last
value is repeated, and the season put back. Others repeat their last value as it is.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from forecasting.features.panel import Floats

CRITICAL = 1.645  # of the normal distribution, 90 % on both sides


def naive2(history: Floats, horizon: int, season: int = 24) -> Floats:
    """Forecast series without a gap: history (hours, entities) -> (horizon, entities)."""
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
