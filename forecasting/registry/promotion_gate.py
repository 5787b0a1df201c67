"""The gate of a promotion: whether a version is good enough to be made live. Pure.

Errors are those of the backtest in the manifest: `mae`, `naive_mae` (seasonal naive, same hours) and, where the trainer
measured it beside, `live_mae` (the live version's recipe, fitted to the same past and asked about the same hours).
Without it two versions are compared by their errors relative to the seasonal naive, which other hours change less.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Self

from forecasting.registry.manifest import Manifest
from pipeline.errors import SettingsError, near

MAE, NAIVE_MAE, LIVE_MAE, COVER = "mae", "naive_mae", "live_mae", "cover-95"


@dataclass(frozen=True, slots=True)
class Gate:
    """What a version must keep to be made live.

    Args:
        naive: Its error is at most so many times that of the seasonal naive.
        live: And at most so many times that of the live version.
        cover: The share of hours within its 95 % interval is at most this far from 0.95.

    Example:
        >>> Gate.parse("naive=0.95,live=1.02")
        Gate(naive=0.95, live=1.02, cover=1.0)
    """

    naive: float = 1.0
    live: float = 1.0
    cover: float = 1.0

    @classmethod
    def parse(cls, text: str, what: str = "the gate") -> Self:
        """Read "naive=0.95,live=1.02"; what is not named keeps its default. Raises SettingsError."""
        known = [field.name for field in fields(cls)]
        found: dict[str, float] = {}
        for part in filter(None, map(str.strip, text.split(","))):
            name, _, number = map(str.strip, part.partition("="))
            if name not in known:
                raise SettingsError(
                    f"{what}: {part!r} names no threshold.{near(name, known)} It has: {', '.join(known)}."
                )
            try:
                found[name] = float(number)
            except ValueError:
                found[name] = math.nan
            if not found[name] > 0:
                raise SettingsError(f"{what}: {part!r} is not a number above zero. Write {name}=0.95, say.")
        return cls(**found)


@dataclass(frozen=True, slots=True)
class Decision:
    """What a gate says."""

    passed: bool
    text: str  # the numbers, as a sentence


def decide(gate: Gate, candidate: Manifest, live: Manifest | None) -> Decision:
    """Return whether `candidate` may take the place of `live`."""
    error, naive = candidate.metrics.get(MAE, math.nan), candidate.metrics.get(NAIVE_MAE, math.nan)
    if math.isnan(error) or math.isnan(naive):
        return Decision(False, "it was not measured by a backtest: its history is too short")
    checks = [_ratio(error, naive, gate.naive, "the seasonal naive's")]
    if live is not None:
        checks.append(_against_live(gate, candidate, live, error, naive))
    cover = candidate.metrics.get(COVER, math.nan)
    if not math.isnan(cover) and gate.cover < 1:
        good = abs(cover - 0.95) <= gate.cover
        text = f"its 95 % interval covers {100 * cover:.1f} % (at most {100 * gate.cover:g} points off are allowed)"
        checks.append((good, text))
    failed = [text for good, text in checks if not good]
    return Decision(not failed, "; ".join(failed or [text for _, text in checks]))


def _against_live(
    gate: Gate, candidate: Manifest, live: Manifest, error: float, naive: float
) -> tuple[bool, str]:
    same_hours = candidate.metrics.get(LIVE_MAE, math.nan)
    if candidate.against == live.version and not math.isnan(same_hours):
        return _ratio(error, same_hours, gate.live, f"that of the live {live.version}")
    theirs, base = live.metrics.get(MAE, math.nan), live.metrics.get(NAIVE_MAE, math.nan)
    if math.isnan(theirs) or math.isnan(base) or not base or not naive:
        return True, f"the live {live.version} was not measured"
    return _ratio(
        error / naive,
        theirs / base,
        gate.live,
        f"that of the live {live.version}",
        "its error relative to the seasonal naive, at other hours,",
    )


def _ratio(
    error: float, other: float, allowed: float, whose: str, what: str = "its error"
) -> tuple[bool, str]:
    share = error / other if other else (0.0 if not error else math.inf)
    said = f"{what} {error:.4g} is {share:.3f} times {whose} {other:.4g}"
    return share <= allowed, f"{said} (at most {allowed:g} is allowed)"
