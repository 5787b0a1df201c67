"""FeatureSpec: which features are made of a panel. A saved model holds its own."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from forecasting.errors import DataError
from forecasting.features.arrays import divide
from forecasting.features.panel import Panel
from forecasting.features.trailing import Trailing

DENSE = (
    0.7  # share of the hours, from an entity's first to its last one, that are seen where series are dense
)
BASES = (24, 168, 672)  # lengths of the level that are tried, in hours


@dataclass(frozen=True, slots=True)
class FeatureSpec:
    """Which features are made. What is "auto" or None is chosen from the data when a model is fitted.

    Args:
        horizon: The largest lead, in hours.
        lookback: How many hours of the past are looked at; more change nothing.
        kind: "dense": series that are seen in nearly every hour, each hour counting alike; "sparse": series with many
            missing hours, or with observations of different weight.
        base: Of sparse series: hours whose mean is the level that values are measured from: few where levels wander,
            many where they return.
        seasons: Periods in hours; the first is the main one.
        spans: Of sparse series: lengths in hours over which the recent past is averaged.
        timezone: Whose clock and weekdays people live by; "the same hour yesterday" is by this clock, too.
        past: Names of the panel's series that are known up to the origin.
        future: Names of its series that are known for the hours after the origin, too.
        static: Names of its numbers that each entity has.

    Raises:
        ValueError: There is no such kind, or no season or horizon of an hour or more.

    Example:
        >>> hours = pd.date_range("2026-01-01", periods=48, freq="h", tz="UTC")
        >>> panel = Panel.from_frames(pd.DataFrame({"oslo": range(48)}, index=hours))
        >>> FeatureSpec(horizon=48, timezone="Europe/Oslo").chosen_for(panel).kind
        'dense'
    """

    horizon: int = 24
    lookback: int = 672
    kind: Literal["auto", "dense", "sparse"] = "auto"
    base: int | None = None
    seasons: tuple[int, ...] = (24, 168)
    spans: tuple[int, ...] = (1, 3, 6, 24, 168)
    timezone: str = "UTC"
    past: tuple[str, ...] | None = None
    future: tuple[str, ...] | None = None
    static: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if self.kind not in ("auto", "dense", "sparse"):
            raise ValueError(f"kind={self.kind!r} is unknown. Use 'auto', 'dense' or 'sparse'.")
        if not self.seasons or min(self.seasons) < 1 or self.horizon < 1:
            raise ValueError(
                f"seasons={self.seasons} and horizon={self.horizon}: give at least one season, and each as one "
                "hour or more."
            )

    def chosen_for(self, panel: Panel) -> FeatureSpec:
        """Return it with everything chosen that is left open. Raises DataError for inputs that the panel lacks."""
        kind = self.kind if self.kind != "auto" else _kind(panel)
        base = self.base
        if base is None and kind == "sparse":
            base = _base(panel, self.horizon)
        return replace(
            self,
            kind=kind,
            base=base,
            past=inputs_of("past", self.past, panel.past),
            future=inputs_of("future", self.future, panel.future),
            static=inputs_of("static", self.static, panel.static),
        )

    @property
    def chosen(self) -> bool:
        """Whether nothing is left open."""
        return self.kind != "auto" and None not in (self.past, self.future, self.static)


def inputs_of(kind: str, wanted: tuple[str, ...] | None, there: Iterable[str]) -> tuple[str, ...]:
    """Choose inputs of a panel: those that are wanted, by default all. Raises DataError for an absent one."""
    names = tuple(there)
    if wanted is None:
        return tuple(sorted(names))
    if missing := [name for name in wanted if name not in names]:
        raise DataError(
            f"the panel lacks {', '.join(missing)} among its {kind} inputs; it has {', '.join(names) or 'none'}. "
            f"Give {kind}={{name: values}}, or leave the name out of the spec's `{kind}`."
        )
    return wanted


def _kind(panel: Panel) -> Literal["dense", "sparse"]:
    """Dense where most hours are seen and none counts more than another."""
    seen = panel.weight > 0
    if not seen.any():
        return "dense"
    weights = panel.weight[seen]
    if weights.max() > 1.001 * weights.min():
        return "sparse"
    hours = np.arange(len(panel))[:, None]
    first, last = np.argmax(seen, axis=0), len(panel) - 1 - np.argmax(seen[::-1], axis=0)
    alive = (hours >= first) & (hours <= last) & seen.any(axis=0)
    return "dense" if seen.sum() >= DENSE * alive.sum() else "sparse"


def _base(panel: Panel, horizon: int) -> int:
    """Return the length whose trailing mean tells most of what comes half a horizon later."""
    ahead = max(horizon // 2, 1)
    sums, weights = Trailing(panel.y * panel.weight), Trailing(panel.weight)
    errors = {}
    for hours in BASES:
        level = divide(sums.all(hours), weights.all(hours))[:-ahead]
        error = np.abs(panel.y[ahead:] - level) * panel.weight[ahead:]
        later = error[len(error) // 2 :]  # where the longest mean has its hours
        errors[hours] = float(np.nansum(later) / max(np.sum(~np.isnan(later)), 1))
    return min(errors, key=errors.__getitem__)
