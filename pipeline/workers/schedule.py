"""Flows' schedules -> celery beat, which uses this scheduler by itself: `celery -A pipeline.app beat`.

Redis holds the hour of the newest scheduled wave of each flow. A flow is due as long as that is not the hour that its
schedule names last; beat asks for the wave then, and asks again every minute until it was started. So nothing is kept
in a file, a message that is lost is sent again, an outage of beat costs at most the hours that it lasted, and two
beats do no harm.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from celery.beat import ScheduleEntry, Scheduler
from celery.schedules import BaseSchedule, schedstate
from redis.exceptions import RedisError

from pipeline.app import app, settings
from pipeline.flows.cron import due_hour
from pipeline.flows.flow import Flow
from pipeline.flows.pipe import stamp
from pipeline.flows.task import CONTROL
from pipeline.messaging.canvas import SUBMIT
from pipeline.monitoring.alert_channels import channels
from pipeline.monitoring.alert_delivery import Teller, Watch
from pipeline.monitoring.alert_rules import Bounds
from pipeline.telemetry.logs import get_logger
from pipeline.waves.first_seen import first_seen
from pipeline.waves.keeper import Keeper
from pipeline.waves.presence import BEAT, KEEPER, Presence, Process, form_to_write
from pipeline.workers.heartbeat import Heartbeat
from pipeline.workers.worker import known_flows, make_runner, runtime

log = get_logger("pipeline.schedule")

ASK_AGAIN = 60.0  # seconds until a wave is asked for again that was not started
TRY_AGAIN = 5.0  # seconds until Redis is asked again that did not answer


class DueWave(BaseSchedule):
    """Says when the next wave of a flow must be asked for."""

    def __init__(self, flow: Flow, now: Callable[[], datetime] | None = None) -> None:
        """Take what gives the time by which waves are due: by default Redis' own."""
        # What beat puts its entries in order by is its own affair. Nobody sets a monotonic clock.
        super().__init__(nowfun=lambda: datetime.fromtimestamp(time.monotonic(), UTC), app=app)
        assert flow.schedule is not None
        self._flow, self._line = flow.name, flow.schedule
        self._now = now or runtime().clock.look
        self._asked = ("", 0.0)  # for which hour, and when
        self.due = ""  # the hour of the wave that was due at the last look, as keys hold it

    def is_due(self, last_run_at: datetime) -> schedstate:
        """Return whether to ask now, and after how many seconds to look again."""
        try:
            now = self._now()
            newest = runtime().records.newest_scheduled(settings.own_version(), self._flow, now)
        except (RedisError, OSError) as error:
            log.warning("redis does not answer, trying again", error=str(error))
            return schedstate(False, TRY_AGAIN)
        self.due = stamp(due_hour(self._line, now))
        return schedstate(self._must_ask(newest or ""), 60.0 - now.second - now.microsecond / 1e6)

    def _must_ask(self, newest: str) -> bool:
        hour, at = self._asked
        return newest < self.due and (hour != self.due or time.monotonic() - at >= ASK_AGAIN)

    def asked(self) -> str:
        """Return the hour that was due, and note that its wave is asked for: beat looks more often than it sends."""
        self._asked = (self.due, time.monotonic())
        return self.due

    def __repr__(self) -> str:
        return f"<wave of {self._flow} at {self._line}>"


def entries() -> dict[str, ScheduleEntry]:
    """Build the beat entries of the flows that PIPELINE_FLOWS names and that have a schedule."""
    return {flow.name: _entry(flow) for flow in known_flows().values() if flow.schedule}


def _entry(flow: Flow) -> ScheduleEntry:
    return ScheduleEntry(
        name=flow.name,
        task=SUBMIT,
        schedule=DueWave(flow),
        options={"queue": f"{settings.own_version()}.{CONTROL}", "shadow": f"{flow.name}.submit"},
        app=app,
    )


def _watch() -> Watch | None:
    """Start what tells of alerts, where the environment says to whom."""
    tell = channels()
    if not tell:
        return None
    found = Watch(Teller(runtime(), known_flows().values(), tell, Bounds.from_env(os.environ)))
    found.start()
    return found


class WaveScheduler(Scheduler):
    """The scheduler that beat uses by itself: messages carry the hour that was due, a keeper runs beside it."""

    def setup_schedule(self) -> None:
        """Take the schedules of the flows that PIPELINE_FLOWS names, and start the keeper."""
        self.schedule = entries()
        self.install_default_entries(self.schedule)
        client, version = runtime().client, settings.own_version()
        with suppress(RedisError, OSError):  # then who looks at the flows first notes it
            first_seen(client, [(version, name) for name in self.schedule], runtime().clock.time())
        beside = Presence(client, Process.this(KEEPER, version))
        self._keeper = Keeper(make_runner(runtime()), runtime().sender, lambda: (), settings.keeper, beside)
        self._keeper.start()
        self._presence = Presence(client, Process.this(BEAT, version))
        self._heartbeat = Heartbeat.from_env()
        self._watch = _watch()

    def tick(self, *args: Any, **kwargs: Any) -> Any:
        """Do what is due, and give a sign of life: beat's own, not that of the keeper's thread."""
        if self._heartbeat is not None:
            self._heartbeat.tell()
        with suppress(RedisError, OSError):
            self._presence.tell()
        return super().tick(*args, **kwargs)

    def apply_async(
        self, entry: ScheduleEntry, producer: Any = None, advance: bool = True, **kwargs: Any
    ) -> Any:
        """Ask for a wave, with its date."""
        if isinstance(entry.schedule, DueWave):
            form = form_to_write(runtime().client)
            entry.args, entry.kwargs = (entry.name, entry.schedule.asked()), {"form": form}
        return super().apply_async(entry, producer=producer, advance=advance, **kwargs)

    def close(self) -> None:
        """End the keeper with beat."""
        self._keeper.stop()
        if self._watch is not None:
            self._watch.stop()
        with suppress(RedisError, OSError):
            self._presence.leave()
        super().close()
