"""Lengths of time as people write them: "90s", "5m", "2h", "28d"; and rates: "50/s"."""

from __future__ import annotations

import re
from datetime import timedelta

from pipeline.errors import DurationError

Duration = str | int | float | timedelta

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)")
_RATE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*/\s*(s|m|h)\s*")

HOUR = 3600.0


def seconds(value: Duration, what: str = "duration") -> float:
    """Turn a length of time into seconds.

    `value` is a text of one or more parts ("90s", "1h30m"), a number of seconds or a timedelta; `what` names
    it in the error. Raises DurationError for anything else, and for zero or less.
    """
    if isinstance(value, timedelta):
        result = value.total_seconds()
    elif isinstance(value, int | float) and not isinstance(value, bool):
        result = float(value)
    elif isinstance(value, str) and value.strip() and not _PART.sub("", value).strip():
        result = sum(float(n) * _SECONDS[unit] for n, unit in _PART.findall(value))
    else:
        raise DurationError(
            f"{what} {value!r} is not a length of time. Write it like '90s', '5m', '2h' or '28d'."
        )
    if not 0 < result < float("inf"):
        raise DurationError(f"{what} {value!r} must be longer than zero and finite.")
    return result


def per_second(rate: str, what: str = "rate") -> float:
    """Turn "50/s", "100/m" or "1000/h" into calls a second. Raises DurationError."""
    match = _RATE.fullmatch(rate) if isinstance(rate, str) else None
    if match is None or float(match[1]) <= 0:
        raise DurationError(f"{what} {rate!r} is not a rate. Write it like '50/s', '100/m' or '1000/h'.")
    return float(match[1]) / _SECONDS[match[2]]


def text(value: float) -> str:
    """Write seconds in the largest unit, up to days, of which they are a whole number: 300 -> "5m"."""
    for unit in ("d", "h", "m", "s"):
        size = _SECONDS[unit]
        if value >= size and value % size == 0:
            return f"{value / size:.0f}{unit}"
    return f"{value:g}s"
