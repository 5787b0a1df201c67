"""What the demo plays, and when: all hours of it follow from the day."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from pipeline.flows.pipe import ONE_HOUR, stamp
from tasks.flights import AIRPORT_TIME

NEW_YORK = ZoneInfo(AIRPORT_TIME)
DAY = datetime(2013, 6, 25, tzinfo=NEW_YORK)
OUTAGE = (13, 18)  # the first and the last hour of the day in which the departures do not answer


@dataclass(frozen=True, slots=True)
class Script:
    """The hours of the demo, in UTC."""

    days: int  # of history
    day: datetime = DAY  # midnight in New York

    @property
    def issues(self) -> list[datetime]:
        """The hours of the 24 waves."""
        first = self.day.astimezone(UTC)
        return [first + n * ONE_HOUR for n in range(24)]

    @property
    def served(self) -> list[datetime]:
        """The hours that are asked about: the one after each wave's."""
        return [date + ONE_HOUR for date in self.issues]

    @property
    def outage(self) -> list[datetime]:
        """The waves whose departures fail."""
        return self.issues[OUTAGE[0] : OUTAGE[1] + 1]

    @property
    def outage_text(self) -> str:
        """The outage as the flows read it from the environment."""
        return f"{stamp(self.outage[0])}/{stamp(self.outage[-1])}"

    @property
    def history(self) -> list[datetime]:
        """The hours that are loaded before the first wave."""
        first = self.issues[0] - timedelta(days=self.days)
        return [first + n * ONE_HOUR for n in range(self.days * 24)]


def local(date: datetime) -> datetime:
    """Return an hour as the clocks of New York show it."""
    return date.astimezone(NEW_YORK)
