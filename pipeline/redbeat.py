"""celery-redbeat as beat's scheduler: `celery -A pipeline.app beat -S pipeline.redbeat:RedBeatWaves`.

Several beats may run; RedBeat's lock lets one of them schedule, and another takes over within five times beat's
`--max-interval` when that one is gone. Waves need no such lock, as two beats do no harm: it is for those who schedule
more than waves by RedBeat, or want one beat only to be at work. Needs the extra: pip install 'celery-waves[redbeat]'.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from celery.beat import ScheduleEntry
from redbeat.schedulers import RedBeatScheduler

from pipeline.app import settings
from pipeline.clients import WORKER_PATIENCE, connect
from pipeline.schedule import Waves, entries
from pipeline.settings import without_secret


class RedBeatWaves(Waves, RedBeatScheduler):
    """RedBeat's entries, which lie in Redis and may be changed while beat runs, and the waves of flows beside them."""

    def __init__(self, app: Any, **options: Any) -> None:
        # RedBeat knows fewer forms of URL than REDIS_URL may have: it is given a client.
        app.conf.update(redbeat_redis_url=without_secret(settings.redis_url), redbeat_redis_options={})
        app.redbeat_redis = connect(
            settings.redis_url, settings.socket_timeout, WORKER_PATIENCE, decode_responses=True
        )
        self._waves: Mapping[str, ScheduleEntry] = {}
        super().__init__(app, **options)

    def setup_schedule(self) -> None:
        """Take the schedules of the flows that PIPELINE_FLOWS names, and those that RedBeat holds."""
        self._waves = entries()
        super().setup_schedule()
        self.begin()

    @property
    def schedule(self) -> dict[str, ScheduleEntry]:
        """What may be due: RedBeat's entries and the waves."""
        return {**super().schedule, **self._waves}
