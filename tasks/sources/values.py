"""What sources give, as the plain values that a pipe holds."""

from __future__ import annotations

from datetime import date, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID


def plain(value: Any) -> Any:
    """Turn a value from a database, a file or JSON into a plain one; NaN, NaT and NA into None.

    Dates and times become ISO texts, lengths of time seconds, decimals floats, UUIDs texts.
    """
    if value is None or isinstance(value, str | bool | int | bytes):
        return value
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if type(value).__name__ == "NAType" or value != value:
        return None
    return _converted(value)


def _converted(value: Any) -> Any:
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, memoryview):
        return bytes(value)
    if hasattr(value, "item"):  # a number of numpy
        return value.item()
    return value
