"""Arithmetic on arrays in which NaN stands for what is missing."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np

from forecasting.features.panel import Floats

STEEPEST = 10.0  # growth that is believed


def divide(a: Floats, b: Floats) -> Floats:
    """a / b, and NaN where b is not above zero."""
    result: Floats = np.divide(a, b, out=np.full(np.broadcast(a, b).shape, np.nan), where=b > 1e-9)
    return result


def mean_of(values: Sequence[Floats]) -> Floats:
    """Return the mean of several arrays of one shape, of what is there."""
    total, count = np.zeros_like(values[0]), np.zeros_like(values[0])
    for one in values:
        there = ~np.isnan(one)
        np.add(total, one, out=total, where=there)
        count += there
    return divide(total, count)


def ratio(a: Floats, b: Floats) -> Floats:
    """a / b where both are above zero, within bounds; else NaN."""
    known = (a > 0) & (b > 0)
    ratio: Floats = np.divide(a, b, out=np.full(a.shape, np.nan), where=known)
    return np.clip(ratio, 1 / STEEPEST, STEEPEST, out=ratio)


def median(values: Floats) -> Floats:
    """Return the median over the entities, shape (U, 1); NaN where none has a value."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return np.nanmedian(values, axis=1, keepdims=True)


def or_longer(means: dict[int, Floats]) -> dict[int, Floats]:
    """Put the mean of the next longer window where nothing was seen in one."""
    result: dict[int, Floats] = {}
    longer: Floats | None = None
    for window in sorted(means, reverse=True):
        own = means[window]
        result[window] = longer = own if longer is None else np.where(np.isnan(own), longer, own)
    return result


def trimmed(values: Sequence[Floats]) -> Floats:
    """Return the mean of several arrays without the lowest and the highest, where more than two are there."""
    total, count = np.zeros_like(values[0]), np.zeros_like(values[0])
    low, high = values[0].copy(), values[0].copy()
    for one in values:
        there = ~np.isnan(one)
        np.add(total, one, out=total, where=there)
        count += there
        np.fmin(low, one, out=low)
        np.fmax(high, one, out=high)
    many = count > 2
    return divide(np.where(many, total - low - high, total), np.where(many, count - 2, count))


def spread(values: Sequence[Floats]) -> Floats:
    """Return the standard deviation of several arrays of one shape, of what is there."""
    mean = mean_of(values)
    found: Floats = np.sqrt(mean_of([(one - mean) ** 2 for one in values]))
    return found
