"""Intervals: quantiles that do not cross, corrected so that they cover what they promise.

The correction is conformalised quantile regression (Romano, Patterson, Candes, 2019) in its multiplicative form:
on hours that the quantile model has not seen, measure how far, in widths of the interval, the truth lies outside
(below zero: inside); the quantile of that at the wanted level is by how much the interval is widened on each side.
It is measured for each lead with its neighbours, and then made not to shrink with lead.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from forecasting.features.panel import Floats, Ints
from forecasting.models.columns import LEVELS

SIDES = (("lo", -1), ("hi", 1))
WIDTHS = {80: 1.28, 95: 1.96}  # of a normal interval on each side, in standard deviations
NEIGHBOURS = 2  # leads on each side that a lead's correction is measured with
NARROWEST = -0.45  # of the width on each side: an interval never closes


def alphas(levels: Sequence[int] = LEVELS) -> list[float]:
    """Return the quantiles that bound the levels (percent), from low to high: 0.025, 0.1, 0.9, 0.975."""
    return sorted(q for level in levels for q in ((100 - level) / 200, (100 + level) / 200))


def places() -> dict[str, int]:
    """Return where in `alphas` each bound is: {"lo-80": 1, "hi-80": 2, "lo-95": 0, "hi-95": 3}."""
    order = alphas()
    return {
        f"{side}-{level}": order.index((100 + sign * level) / 200) for level in LEVELS for side, sign in SIDES
    }


def normal(mean: Floats, size: Floats) -> dict[str, Floats]:
    """Return bounds as they would be if errors were normal: `size` is an error's standard deviation."""
    return {f"{side}-{level}": mean + sign * WIDTHS[level] * size for level in LEVELS for side, sign in SIDES}


def tidy(mean: Floats, bounds: Mapping[str, Floats]) -> dict[str, Floats]:
    """Widen bounds so that they hold the mean, and a higher level's hold a lower level's; shapes stay."""
    low, high = mean, mean
    result: dict[str, Floats] = {}
    for level in sorted(int(name[3:]) for name in bounds if name.startswith("lo-")):
        low = np.fmin(low, bounds[f"lo-{level}"])
        high = np.fmax(high, bounds[f"hi-{level}"])
        result |= {f"lo-{level}": low, f"hi-{level}": high}
    return result


@dataclass(frozen=True, slots=True)
class Conformal:
    """By how much each level's interval is widened on either side, in its widths: level -> a number a lead."""

    widening: Mapping[int, tuple[float, ...]]

    @classmethod
    def none(cls, horizon: int) -> Conformal:
        """Return the correction that changes nothing."""
        return cls(dict.fromkeys(LEVELS, (0.0,) * horizon))

    @classmethod
    def measure(cls, leads: Ints, y: Floats, bounds: Mapping[str, Floats], horizon: int) -> Conformal:
        """Measure the correction on n hours that were held out: leads (n,), truth (n,) and bounds (n,) each.

        Each lead should be measured on the same hours of the day, else a lead that happens to fall on quiet hours
        looks narrow.
        """
        return cls(
            {
                level: _widening(leads, y, bounds[f"lo-{level}"], bounds[f"hi-{level}"], level / 100, horizon)
                for level in LEVELS
            }
        )

    def apply(self, leads: Ints, bounds: Mapping[str, Floats]) -> dict[str, Floats]:
        """Correct bounds of shape (R, E), whose rows have these leads (R,); past the horizon the last one holds."""
        result: dict[str, Floats] = {}
        for level, factors in self.widening.items():
            low, high = bounds[f"lo-{level}"], bounds[f"hi-{level}"]
            by = np.array(factors)[np.minimum(leads, len(factors)) - 1][:, None] * (high - low)
            result |= {f"lo-{level}": low - by, f"hi-{level}": high + by}
        return result

    def to_json(self) -> dict[str, Any]:
        """Return what `from_json` reads."""
        return {str(level): list(factors) for level, factors in self.widening.items()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Conformal:
        """Read what `to_json` gave."""
        return cls({int(level): tuple(factors) for level, factors in data.items()})


def _widening(
    leads: Ints, y: Floats, low: Floats, high: Floats, level: float, horizon: int
) -> tuple[float, ...]:
    width = np.maximum(high - low, 1e-9)
    outside = np.maximum(low - y, y - high) / width
    factors, widths = np.zeros(horizon), np.zeros(horizon)
    for lead in range(1, horizon + 1):
        near = np.abs(leads - lead) <= min(NEIGHBOURS, lead - 1, horizon - lead)  # as many on each side
        if near.sum() < 50:  # too few to tell a quantile in the tails
            near = np.ones(len(leads), dtype=bool)
        if near.any():
            factors[lead - 1] = max(_upper_quantile(outside[near], level), NARROWEST)
            widths[lead - 1] = max(float(width[near].mean()), 1e-9)
    if not widths.all():
        return (0.0,) * horizon
    corrected = np.maximum.accumulate(widths * (1 + 2 * factors))
    return tuple(float(f) for f in (corrected / widths - 1) / 2)


def _upper_quantile(values: Floats, level: float) -> float:
    """Return the quantile that a new value stays below with the probability `level`, for n values of the same kind."""
    n = len(values)
    rank = min(int(np.ceil((n + 1) * level)), n)
    return float(np.partition(values, rank - 1)[rank - 1])
