"""Cron lines, as much of them as schedules of waves need: five fields of *, numbers, ranges, steps and lists. Pure.

All times are UTC. Days of the week are 0 to 6 from Sunday, 7 is Sunday too. A line may restrict the day of the month or
the day of the week, not both: cron takes a day that matches either, Celery's beat one that matches both.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from pipeline.errors import DurationError

_FIELDS = (("minute", 0, 59), ("hour", 0, 23), ("day", 1, 31), ("month", 1, 12), ("weekday", 0, 7))
_PART = re.compile(r"(?:\*|([0-9]+)(?:-([0-9]+))?)(?:/([0-9]+))?")
_DAYS = 366 * 8  # the farthest that 29 February can lie back


@dataclass(frozen=True, slots=True)
class Cron:
    """A cron line."""

    line: str
    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]  # from Sunday, 0

    @classmethod
    def parse(cls, line: str) -> Cron:
        """Read a line such as "5 * * * *". Raises DurationError, which names the field."""
        fields = line.split() if isinstance(line, str) else []
        if len(fields) != 5:
            raise DurationError(
                f"schedule {line!r} is no cron line. Write five fields (UTC): '5 * * * *' is five past each hour."
            )
        minutes, hours, days, months, weekdays = (
            _field(text, *spec, line) for text, spec in zip(fields, _FIELDS, strict=True)
        )
        found = cls(line, minutes, hours, days, months, frozenset(day % 7 for day in weekdays))
        if len(found.days) < 31 and len(found.weekdays) < 7:
            raise DurationError(
                f"schedule {line!r} restricts both the day of the month and the weekday. Restrict one of them."
            )
        if found.last(datetime(2024, 12, 31, 23, 59, tzinfo=UTC)) is None:
            raise DurationError(f"schedule {line!r} never comes: no month has such a day.")
        return found

    def last(self, now: datetime) -> datetime | None:
        """Give the newest minute that matches, at or before `now`; None when there is none in eight years."""
        day = now.replace(hour=0, minute=0, second=0, microsecond=0)
        for back in range(_DAYS):
            found = self._on(day - timedelta(days=back), now)
            if found is not None:
                return found
        return None

    def next(self, now: datetime) -> datetime | None:
        """Give the first minute that matches, after `now`; None when there is none in eight years."""
        start = now.replace(second=0, microsecond=0) + timedelta(minutes=1)
        for ahead in range(_DAYS):
            day = start.replace(hour=0, minute=0) + timedelta(days=ahead)
            if not self._matches(day):
                continue
            for hour in sorted(self.hours):
                for minute in sorted(self.minutes):
                    if (moment := day.replace(hour=hour, minute=minute)) >= start:
                        return moment
        return None

    def _on(self, day: datetime, now: datetime) -> datetime | None:
        if not self._matches(day):
            return None
        for hour in sorted(self.hours, reverse=True):
            for minute in sorted(self.minutes, reverse=True):
                moment = day.replace(hour=hour, minute=minute)
                if moment <= now:
                    return moment
        return None

    def _matches(self, day: datetime) -> bool:
        return day.month in self.months and day.day in self.days and (day.weekday() + 1) % 7 in self.weekdays

    def period(self, now: datetime, count: int = 10) -> float:
        """Give the shortest time between two of the newest `count` matches before `now`, in seconds."""
        gaps: list[float] = []
        newer = self.last(now)
        while newer is not None and len(gaps) < count:
            older = self.last(newer - timedelta(minutes=1))
            if older is None:
                break
            gaps.append((newer - older).total_seconds())
            newer = older
        return min(gaps, default=366 * 86400.0)


def _field(text: str, name: str, low: int, high: int, line: str) -> frozenset[int]:
    found: set[int] = set()
    for part in text.split(","):
        match = _PART.fullmatch(part)
        if match is None or (match[3] and not int(match[3])):
            raise DurationError(
                f"schedule {line!r}: {name} {part!r} is no number, range or step. Use *, 5, 1-5 or */15."
            )
        first, last, step = match.groups()
        start = int(first or low)
        stop = int(last or (start if first and not step else high))
        if not low <= start <= stop <= high:
            raise DurationError(
                f"schedule {line!r}: {name} {part!r} must lie within {low} to {high}, the smaller number first."
            )
        found.update(range(start, stop + 1, int(step or 1)))
    return frozenset(found)


def due_hour(line: str, now: datetime) -> datetime:
    """Give the hour of the wave that was due last by a schedule: the wave's date."""
    last = Cron.parse(line).last(now.astimezone(UTC))
    assert last is not None  # parse() refuses lines that never come
    return last.replace(minute=0)
