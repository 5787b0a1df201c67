"""A paired test: is one forecast better than another on the same hours, or is that chance?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtr

from forecasting.features.panel import Floats

DAY = 24
LEAST = 2 * DAY  # hours that a test wants


@dataclass(frozen=True, slots=True)
class Paired:
    """What the test says of the mean of loss differences."""

    mean: float
    statistic: float  # NaN where there are too few hours
    p: float  # two-sided; NaN where there are too few hours
    hours: int


def diebold_mariano(differences: Floats, horizon: int = DAY) -> Paired:
    """Test whether the mean of hourly loss differences (T,) is zero, by Diebold and Mariano (1995).

    Losses of neighbouring hours are alike: one weather, one event, and leads that overlap by up to `horizon` hours.
    The variance of their mean is therefore estimated over cosines of low frequency (Lazarus, Lewis, Stock and Watson,
    2018) and the statistic compared with Student's t of as many degrees of freedom, a fixed-smoothing form as Coroneo
    and Iacone (2020) advise. It can never be negative, as the original's can; on series whose losses run together for
    a day it errs in 8 to 9 of 100 cases where 5 are meant, the original with Harvey's correction in 11.
    """
    values = np.asarray(differences, np.float64)
    hours = len(values)
    mean = float(values.mean()) if hours else math.nan
    if hours < LEAST:
        return Paired(mean, math.nan, math.nan, hours)
    count = max(4, min(int(0.4 * hours ** (2 / 3)), int(hours / (1.5 * max(horizon, DAY)))))
    waves = np.cos(np.pi * np.outer(np.arange(1, count + 1), (np.arange(hours) + 0.5) / hours))
    variance = float(np.mean((math.sqrt(2 / hours) * waves @ values) ** 2)) / hours
    if variance <= (1e-12 * np.abs(values).max()) ** 2:  # all alike: no difference, or always the same one
        return Paired(mean, 0.0 if mean == 0 else math.copysign(math.inf, mean), float(mean == 0), hours)
    statistic = mean / math.sqrt(variance)
    return Paired(mean, statistic, float(2 * stdtr(count, -abs(statistic))), hours)


def holm(values: Sequence[float]) -> list[float]:
    """Correct p-values of several tests for their number (Holm, 1979); NaN stays."""
    order = sorted((i for i, p in enumerate(values) if not math.isnan(p)), key=lambda i: values[i])
    found, worst = list(values), 0.0
    for rank, i in enumerate(order):
        worst = max(worst, min(1.0, values[i] * (len(order) - rank)))
        found[i] = worst
    return found
