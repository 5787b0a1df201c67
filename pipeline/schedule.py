"""Flows' schedules -> celery beat.

`celery -A pipeline.app beat` uses this scheduler by itself. It keeps no file: when it starts, it sends the wave that
was due last for each flow, and as a wave's id is its flow and hour, one that was started before is not started again.
So an outage of beat costs at most the hours that it lasted, and two beats do no harm.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from celery import schedules
from celery.beat import ScheduleEntry, Scheduler

from pipeline.app import app, settings
from pipeline.canvas import CONTROL, SUBMIT
from pipeline.cron import Cron
from pipeline.flow import Flow
from pipeline.keeper import Keeper
from pipeline.pipe import floor, stamp
from pipeline.worker import known_flows, make_runner, runtime


def due_hour(flow: Flow, now: datetime) -> datetime:
    """Give the hour of the wave that was due last: the wave's date."""
    assert flow.schedule is not None
    last = Cron.parse(flow.schedule).last(now.astimezone(UTC))
    assert last is not None
    return floor(last)


def entry(flow: Flow, now: datetime) -> ScheduleEntry:
    """Make the beat entry of a flow; it is due at once, for the hour that was due last."""
    assert flow.schedule is not None
    minute, hour, day, month, weekday = flow.schedule.split()
    return ScheduleEntry(
        name=flow.name,
        task=SUBMIT,
        schedule=schedules.crontab(minute, hour, weekday, day, month),
        last_run_at=due_hour(flow, now) - timedelta(days=366),
        options={"queue": f"{settings.own_version()}.{CONTROL}", "shadow": f"{flow.name}.submit"},
        app=app,
    )


class WaveScheduler(Scheduler):
    """A beat scheduler whose messages carry the hour that was due."""

    def setup_schedule(self) -> None:
        """Take the schedules of the flows that PIPELINE_FLOWS names, and run a keeper beside beat."""
        now = datetime.now(UTC)
        self.schedule = {f.name: entry(f, now) for f in known_flows().values() if f.schedule}
        self.install_default_entries(self.schedule)
        self._keeper = Keeper(make_runner(runtime()), runtime().sender, lambda: (), settings.keeper)
        self._keeper.start()

    def apply_async(
        self, entry: ScheduleEntry, producer: Any = None, advance: bool = True, **kwargs: Any
    ) -> Any:
        """Send the start of a wave with its date."""
        flow = known_flows().get(entry.name)
        if flow is not None:
            date = stamp(due_hour(flow, datetime.now(UTC)))
            entry.args = (flow.name, date)
        return super().apply_async(entry, producer=producer, advance=advance, **kwargs)

    def close(self) -> None:
        """End the keeper with beat."""
        self._keeper.stop()
        super().close()
