"""The Celery application and its settings: the one global of celery-waves. Importing it changes nothing in a process.

celery -A pipeline.app worker -Q main.collect,main.compute,main.control
celery -A pipeline.app beat
celery -A pipeline.app flower
"""

from __future__ import annotations

import os
import sys
from typing import Any, NoReturn

from celery import Celery
from celery.app.log import Logging as CeleryLogging
from celery.fixups.django import fixup
from celery.loaders.app import AppLoader
from kombu import Queue

from pipeline.connections.address import parse
from pipeline.connections.broker import broker_settings
from pipeline.errors import PipelineError
from pipeline.flows.own_modules import clash_behind
from pipeline.flows.task import COLLECT, COMPUTE, CONTROL
from pipeline.messaging.transport import Broker
from pipeline.settings import Settings
from pipeline.telemetry.logs import dress, form

KINDS = (CONTROL, COLLECT, COMPUTE)
VISIBILITY = 6 * 3600  # seconds; longer than any time limit, because claims rescue what is lost long before


def celery_settings(settings: Settings) -> dict[str, Any]:
    """Return the Celery configuration for some settings."""
    version = settings.version or "unknown"
    named = broker_settings(settings.redis_url, settings.socket_timeout)
    # A connection that waits for messages is made anew when the server is silent for twice its health check's interval.
    transport = {
        "visibility_timeout": VISIBILITY,
        "retry_on_timeout": True,
        **named["broker_transport_options"],
    }
    return {
        **named,
        "result_backend": f"pipeline.messaging.result_backend:ChordBackend+{settings.redis_url}",
        "include": ["pipeline.workers.worker"],
        # JSON only: a message of another kind is refused, never unpickled.
        "accept_content": ["json"],
        "task_serializer": "json",
        "result_serializer": "json",
        # A canvas carries all that follows, much of it alike: so a message stays under 4 KB in any shape of graph.
        "task_compression": "zlib",
        # A message is given back when its worker dies, and one is taken at a time: shards are long.
        "task_acks_late": True,
        "task_reject_on_worker_lost": True,
        "worker_prefetch_multiplier": 1,
        # Chords count their headers without results; what they store is tiny and short-lived.
        "task_ignore_result": True,
        "result_expires": 3600,
        "task_track_started": False,
        # Events cost a quarter of a small wave. Flower asks workers for theirs when it runs.
        "worker_send_task_events": False,
        "task_send_sent_event": False,
        # Queues of this version. A worker without -Q takes from all of them.
        "task_default_queue": f"{version}.{CONTROL}",
        "task_queues": [Queue(f"{version}.{kind}") for kind in KINDS],
        "task_create_missing_queues": True,
        "beat_scheduler": "pipeline.workers.schedule:WaveScheduler",
        "beat_max_loop_interval": 5,
        "enable_utc": True,
        "timezone": "UTC",
        # A lost connection is never the end of a worker.
        "broker_connection_retry": True,
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        "broker_channel_error_retry": True,
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        "broker_transport_options": transport,
        "result_backend_transport_options": {"retry_policy": {"timeout": settings.socket_timeout}},
        "redis_socket_timeout": settings.socket_timeout,
        "worker_hijack_root_logger": True,
        "worker_proc_alive_timeout": 60,
    }


def make_app(settings: Settings) -> Celery:
    """Build an application for some settings. It changes nothing in its process until Celery's command runs it.

    So it is not the process' current one, and Django is not looked after here but where a process of Celery's begins.
    """
    made = Celery(
        "pipeline",
        set_as_current=False,
        fixups=(),
        amqp=Broker,
        log=f"{__name__}:Logging",
        loader=f"{__name__}:Loader",
    )
    made.conf.update(celery_settings(settings))
    return made


class Loader(AppLoader):
    """Prepares a process of Celery's (worker, beat, Flower) for its application. No other process asks it to."""

    def import_default_modules(self) -> list[Any]:
        """Import what such a process runs, and first settle what must be settled before.

        A pool's child is forked. Where its parent has used OpenMP's threads, as by loading a model when flows are
        imported, the child waits for ever for those that it did not inherit: so such a process does its sums in one
        thread, unless it is told another number. OpenMP reads that when it is loaded.
        """
        os.environ.setdefault("OMP_NUM_THREADS", "1")
        self._django = fixup(self.app)  # kept, because Celery's signals hold it weakly
        try:
            form(terminal=False)
            for url in {settings.redis_url, settings.pipe_store_url}:
                parse(url)
            found: list[Any] = super().import_default_modules()
        except PipelineError as error:
            _refuse(error)
        return found

    def import_task_module(self, module: str) -> Any:
        """Import one of them, or one that the command line names, as by -I."""
        try:
            return super().import_task_module(module)
        except ImportError as error:
            if (clash := clash_behind(error)) is None:
                raise
            _refuse(clash)


def _refuse(error: PipelineError) -> NoReturn:
    sys.stderr.write(f"wave: {error}\n")
    sys.exit(2)


class Logging(CeleryLogging):
    """Lets Celery's lines, and those that users log or print, be written as ours are."""

    def setup_handlers(self, logger: Any, *args: Any, **options: Any) -> Any:
        """Dress each logger that Celery gives a handler."""
        found = super().setup_handlers(logger, *args, **options)
        dress(found)
        return found


settings = Settings.from_env()
app = make_app(settings)
