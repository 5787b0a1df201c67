"""Cron lines of five fields, as cronsim reads them: *, numbers, names, ranges, steps and lists. Pure.

All times are UTC. A line may restrict the day of the month or the day of the week, not both: cron takes a day that
matches either, others one that matches both.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise

from cronsim import CronSim, CronSimError

from pipeline.errors import DurationError

_FIELDS = {
    "minute": "0 to 59",
    "hour": "0 to 23",
    "day-of-month": "1 to 31",
    "month": "1 to 12",
    "day-of-week": "0 to 7",
}
_MINUTE = timedelta(minutes=1)
_ANY = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Cron:
    """A cron line."""

    line: str

    @classmethod
    def parse(cls, line: str) -> Cron:
        """Read a line such as "5 * * * *". Raises DurationError, which names the field."""
        fields = line.split() if isinstance(line, str) else []
        if len(fields) != 5:
            raise DurationError(
                f"schedule {line!r} is not a cron line. Write five fields (UTC): '5 * * * *' is five past each hour."
            )
        try:
            found = CronSim(line, _ANY)
        except CronSimError as error:
            name = str(error).removeprefix("Bad ")
            text = fields[list(_FIELDS).index(name)]
            raise DurationError(
                f"schedule {line!r}: {name} {text!r} cannot be read, or never comes. Use *, 5, 1-5 or */15, "
                f"within {_FIELDS[name]}, the smaller number first."
            ) from None
        if not found.day_and:
            raise DurationError(
                f"schedule {line!r} restricts both the day of the month and the weekday. Restrict one of them."
            )
        return cls(line)

    @classmethod
    def hourly(cls, line: str) -> Cron:
        """Read a line that comes at most once in an hour, as waves do: their dates are hours. Raises DurationError."""
        found, minute = cls.parse(line), line.split()[0]
        minutes = sorted(CronSim(line, _ANY).minutes)
        if len(minutes) > 1:
            first = " ".join([str(minutes[0]), *line.split()[1:]])
            raise DurationError(
                f"schedule {line!r}: minute {minute!r} comes {len(minutes)} times within an hour. A wave's date is an "
                f"hour, so that each hour has one wave at most. Name one minute: {first!r}."
            )
        return found

    def last(self, now: datetime) -> datetime:
        """Return the newest minute that matches, at or before `now`."""
        return next(self._back(now))

    def next(self, now: datetime) -> datetime:
        """Return the first minute that matches, after `now`."""
        return next(CronSim(self.line, now))

    def period(self, now: datetime, count: int = 10) -> float:
        """Return the shortest time between two of the newest `count` matches before `now`, in seconds."""
        newest = islice(self._back(now), count + 1)
        return min((newer - older).total_seconds() for newer, older in pairwise(newest))

    def _back(self, now: datetime) -> CronSim:
        return CronSim(self.line, now.replace(second=0, microsecond=0) + _MINUTE, reverse=True)


def due_hour(line: str, now: datetime) -> datetime:
    """Return the hour of the wave that was due last by a schedule: the wave's date."""
    return Cron.parse(line).last(now.astimezone(UTC)).replace(minute=0)
