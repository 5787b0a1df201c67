"""How numbers, lengths of time and lists are written for people, on pages and in a terminal. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime


def length(seconds: float) -> str:
    """Write a length of time as a person reads it: "0.4 ms", "3.2 s", "4 min 05 s", "2 h 13 min"."""
    if seconds < 1:
        return f"{seconds * 1000:.3g} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours < 48 else f"{hours // 24} d {hours % 24} h"


def size(count: float) -> str:
    """Write a number of bytes as a person reads it: "812 B", "3.4 MB", "1.2 GB"."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} GB"


def moment(seconds: float) -> str:
    """Write a time since the epoch, in UTC."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S}"


def some(keys: Sequence[str], count: int = 3) -> str:
    """Name the first few of many."""
    shown = ", ".join(keys[:count])
    return f"{shown} and {len(keys) - count:,} more" if len(keys) > count else shown


def plural(n: int, one: str, many: str = "") -> str:
    """Write a number with its noun: "1 wave", "1,440 waves"."""
    return f"{n:,} {one if n == 1 else many or one + 's'}"
