"""The clock that people live by: hours, weekdays, and the same hour of earlier days when clocks were changed."""

from __future__ import annotations

import numpy as np
import pandas as pd

from forecasting.features.panel import Ints


class Clock:
    """Row numbers of a panel, by the clock of a time zone. Rows past the panel's end are the hours after it."""

    def __init__(self, hours: pd.DatetimeIndex, timezone: str, ahead: int) -> None:
        start = hours[0]
        every = pd.date_range(start, periods=len(hours) + ahead, freq="h")
        local = every.tz_convert(timezone)
        self.hour = np.asarray(local.hour)
        self.weekday = np.asarray(local.day_of_week)
        wall = local.tz_localize(None) - every.tz_localize(None)
        shift = np.asarray(wall.total_seconds()) / 3600
        # Zones that are off by half an hour keep it all the year; only changes matter.
        self._shift = np.rint(shift - shift[0]).astype(np.int64)
        self._changes = bool(self._shift.any())

    def back(self, rows: Ints, hours: Ints) -> Ints:
        """Return the rows that lie so many hours (whole days) before by the clock; negative before the panel starts."""
        earlier: Ints = rows - hours
        if not self._changes:
            return earlier
        moved: Ints = earlier + self._shift[rows] - self._shift[np.maximum(earlier, 0)]
        return moved
