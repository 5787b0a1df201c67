"""What a Celery worker runs: one task for every unit of every flow, the start of waves, and the keeper.

Workers meet no other task names, so that none is ever unregistered. The tasks never raise and give no result: in a
chord's header an exception would drop the body.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
import time
import traceback
import uuid
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from functools import cache
from typing import Any

from celery import signals
from celery.concurrency.prefork import TaskPool as PreforkPool
from celery.exceptions import WorkerLostError
from celery.worker import state as worker_state
from celery.worker.request import Request
from kombu import Queue
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from pipeline.app import app, settings
from pipeline.connections.sync_clients import WORKER_PATIENCE
from pipeline.errors import PipelineError, UnreadableError
from pipeline.execution.runner import Runner
from pipeline.execution.tools import Tools, Watch, unwatched
from pipeline.flows.discover import Flows, load_flows
from pipeline.flows.task import SOLO
from pipeline.forms import name_unreadable
from pipeline.gate.units import Unit
from pipeline.messaging.canvas import JOIN, RUN, SUBMIT, Order, Single
from pipeline.telemetry.logs import about, get_logger
from pipeline.telemetry.tracing import check as check_traces
from pipeline.waves.keeper import Keeper, finish
from pipeline.waves.presence import REFUSED, WORKER, Presence, Process
from pipeline.waves.runtime import Runtime, process_runtime
from pipeline.waves.submit import submit_scheduled
from pipeline.workers.pools import (
    allow_pools,
    closing_pools,
    end_orphans_soon,
    prefer_forkserver,
    refuse_green,
)
from pipeline.workers.timers import tidy_timers
from pipeline.workers.watchdog import Runs, Watchdog

log = get_logger("pipeline.worker")

PASSED_ON = (
    10  # times that workers which do not know a unit's task pass it on; then its deadline brings it back
)
PAUSE = 0.05  # seconds that such a worker leaves the queue to others
REMEMBERED = 64  # units that a worker remembers having run, and twice as many as it has slots

# Who holds a lease: this worker's main process. Children inherit it by fork, so that it renews what they hold.
OWNER = uuid.uuid4().hex[:12]


_watch: list[Watch] = [unwatched]  # of what this process runs


@cache
def known_flows() -> Flows:
    """Return the flows of PIPELINE_FLOWS, imported once."""
    return load_flows(settings.flows)


def runtime() -> Runtime:
    """Return this process' clients."""
    return process_runtime(settings, WORKER_PATIENCE)


def make_runner(found: Runtime) -> Runner:
    """Put a runner together from a process' clients."""
    tools = Tools(
        found.gate, found.records, found.store, found.rates, found.states.bind, found.tracer, _watch[0]
    )
    return Runner(tools, known_flows(), OWNER, settings.lease)


class PipelineRequest(Request):
    """A message in the worker's main process."""

    def on_accepted(self, pid: int, time_accepted: float) -> None:
        """Remember what a child has begun to run."""
        held.note(self)
        super().on_accepted(pid, time_accepted)

    def on_failure(self, exc_info: Any, send_failed_event: bool = True, return_ok: bool = False) -> Any:
        """End the lease of a child that died at once; its message comes back by itself."""
        raised = exc_info.exception
        if isinstance(
            getattr(raised, "exc", raised), WorkerLostError
        ):  # billiard wraps what it raises itself
            self._tell(runtime().gate.drop)
            end_orphans_soon(self.worker_pid)
        with self._about():
            return super().on_failure(exc_info, send_failed_event=send_failed_event, return_ok=return_ok)

    def on_timeout(self, soft: bool, timeout: float) -> None:
        """Report that a child which is killed at its time limit hung: its run is not repeated."""
        if not soft:
            self._tell(runtime().gate.hang)
            end_orphans_soon(self.worker_pid)
        with self._about():
            super().on_timeout(soft, timeout)

    def _about(self) -> AbstractContextManager[None]:
        """Put what it runs on Celery's own lines; for tasks that share a message the first."""
        units = _units_of(self)
        return nullcontext() if not units else about(units[0][0], units[0][1].task, units[0][1].where)

    def _tell(self, tell: Callable[[str, list[tuple[str, Unit]]], None]) -> None:
        with suppress(RedisError, OSError):  # then the lease tells of it
            tell(OWNER, _units_of(self))


@app.task(name=RUN, Request="pipeline.workers.worker:PipelineRequest", ignore_result=True)
def run(*args: Any, **fields: Any) -> None:
    """Run one unit of a wave, or some of a shard one after the other, and send what follows."""
    try:
        order = Order.read(args, fields)
    except UnreadableError as error:
        _name_unreadable(f"message {list(args)!r:.200}: {error}")
        return
    for unit in order.units:
        with about(order.wave_id, unit.task, unit.where), closing_pools():
            _run_unit(order.wave_id, unit, order.follow, order.alone)


def _name_unreadable(text: str) -> None:
    log.error("set aside what cannot be read", what=text)
    with suppress(RedisError, OSError):
        name_unreadable(runtime().client, text)


def _run_unit(wave_id: str, unit: Unit, follow: bool, alone: bool) -> None:
    """Run a unit, if the gate grants it. What goes wrong is logged: the keeper has it run again."""
    try:
        found = runtime()
        ran = make_runner(found).run(wave_id, unit, alone)
        if ran.answer == "unknown":
            _pass_on(found, wave_id, Single(unit, alone=alone))
        finish(ran, unit, follow, found.sender, found.records, found.tracer)
    except (RedisError, OSError, OperationalError) as error:
        log.warning("redis does not answer; this is given back and run again", error=str(error))
        with suppress(RedisError, OSError):  # then its lease ends
            runtime().gate.release(OWNER, [(wave_id, unit)])
    except UnreadableError as error:
        _name_unreadable(f"run of {wave_id} {unit}: {error}")
    except Exception:
        log.exception("a run broke off; its lease will end and it is run again")


def _pass_on(found: Runtime, wave_id: str, message: Single) -> None:
    """Leave a task that this worker does not know, as in the middle of a deployment, for one that does.

    The message goes back into its queue, and this slot takes none for a moment, so that another worker takes it.
    """
    log.warning("this worker does not know the task; left for one that does", flows=list(known_flows()))
    spec = found.records.spec(wave_id)
    if spec is not None and 0 < found.gate.decline(wave_id, message.unit) <= PASSED_ON:
        found.sender.send(spec, [message])
        time.sleep(PAUSE)


@app.task(name=JOIN, ignore_result=True)
def join(**_: Any) -> None:
    """Do nothing: the body of a chord between two parallel parts."""


@app.task(name=SUBMIT, ignore_result=True, time_limit=600)
def submit(flow: str, date: str, **_: Any) -> None:
    """Start the wave of a flow for the hour that was due, as beat asks for it."""
    try:
        found = known_flows().find(flow)
        wave = submit_scheduled(found, date, runtime().clock.look(), runtime())
        if wave is None:
            log.info(
                "not started: it is not due, or a newer wave was due or has started", flow=flow, date=date
            )
    except PipelineError as error:
        log.error("cannot start the wave", flow=flow, date=date, error=str(error))
    except (Exception, KeyboardInterrupt):  # the user's own: a worker hears Ctrl-C otherwise
        log.exception("cannot start the wave", flow=flow, date=date)


def _units_of(request: Any) -> list[tuple[str, Unit]]:
    """Return the units that a message may run."""
    if request.type != RUN:  # its name is the shadow that Flower shows
        return []
    try:
        order = Order.read(request.args, request.kwargs)
    except UnreadableError:  # `run` names it
        return []
    return [(order.wave_id, unit) for unit in order.units]


class Held:
    """What this worker's children run now, as the main process knows it."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, Unit], None] = {}  # the newest last
        self.limit = REMEMBERED

    def __call__(self) -> list[tuple[str, Unit]]:
        """Return (wave id, unit) of each."""
        return [unit for request in _active() for unit in _units_of(request)]

    def note(self, request: Any) -> None:
        """Remember what a child has begun to run."""
        for unit in _units_of(request):
            self._seen.pop(unit, None)
            self._seen[unit] = None
        while len(self._seen) > self.limit:
            del self._seen[next(iter(self._seen))]

    def give_back(self) -> None:
        """Hand back what still runs.

        By the time that a cold shutdown tells of itself, Celery has cancelled its requests and knows of none. The
        gate takes back only what this worker still holds, so that it may be given all that was seen.
        """
        if self._seen:
            runtime().gate.release(OWNER, list(self._seen))


held = Held()


def _active() -> list[Any]:
    """Copy the set that the worker's loop changes while the keeper's thread reads it."""
    while True:
        try:
            return list(worker_state.active_requests)
        except RuntimeError:  # it grew meanwhile
            continue


@signals.celeryd_init.connect
def _take_solo(conf: Any = None, options: Any = None, **_: Any) -> None:
    """Let a worker that runs one thing at a time also take what must run alone, unless it is told its queues."""
    if conf is not None and options and options.get("concurrency") == 1 and not options.get("queues"):
        conf.task_queues = [*conf.task_queues, Queue(f"{settings.version}.{SOLO}")]


@signals.worker_ready.connect
def _keep(sender: Any = None, **_: Any) -> None:
    """Run a keeper in the worker's main process until its end; while it drains, leases are still renewed."""
    queues = tuple(sorted(queue.name for queue in sender.task_consumer.queues))
    slots = getattr(sender.pool, "num_processes", 0) or 1
    held.limit = REMEMBERED + 2 * slots
    tidy_timers(getattr(sender, "hub", None))
    if not isinstance(sender.pool, PreforkPool):  # which has a parent that ends a child at its time limit
        _watch[0] = Watchdog.start(_renew, _end_frozen, settings.lease / 3)
    presence = Presence(runtime().client, Process.this(WORKER, settings.own_version(), queues, slots))
    keeper = Keeper(make_runner(runtime()), runtime().sender, held, settings.keeper, presence)
    keeper.start()
    signals.worker_shutdown.connect(lambda **_: keeper.stop(), weak=False)


def _renew(runs: Runs) -> None:
    """Renew the leases of a worker that stands still; called in its watchdog."""
    runtime().gate.renew(OWNER, settings.lease, [(run.wave_id, run.unit) for run in runs])


def _end_frozen(runs: Runs) -> None:
    """Report a worker that stands still past a time limit: what ran alone there hung, all else is to run alone."""
    gate = runtime().gate
    log.error("the worker stands still past a time limit and is ended", runs=[str(run.unit) for run in runs])
    for tell, alone in ((gate.hang, True), (gate.freeze, False)):
        tell(OWNER, [(run.wave_id, run.unit) for run in runs if run.alone == alone])


@signals.worker_shutting_down.connect
def _drain(how: str = "", **_: Any) -> None:
    """After SIGTERM give what runs a while to end; then, or after SIGQUIT, it is given back and not lost.

    In threads, because this is called in the middle of whatever the main thread was doing.
    """
    if how == "Warm":
        threading.Thread(target=_quit_later, name="drain", daemon=True).start()
    else:
        giving = threading.Thread(target=held.give_back, name="give-back", daemon=True)
        giving.start()
        giving.join(timeout=5)


def _quit_later() -> None:
    time.sleep(settings.drain)
    held.give_back()
    os.kill(os.getpid(), signal.SIGQUIT)


@signals.task_rejected.connect
def _count_refused(message: Any = None, **_: Any) -> None:
    """Count a message that is not JSON, or none of ours: it was not run, and `wave doctor` tells of it."""
    with suppress(RedisError, OSError):
        runtime().client.hincrby(REFUSED, str(getattr(message, "content_type", None)), 1)


@signals.worker_init.connect
def _check(sender: Any = None, **_: Any) -> None:
    """Refuse to start where the version or the flows are not known, before anything is taken from a queue."""
    try:
        refuse_green(getattr(sender, "pool_cls", ""))
        settings.own_version()
        prefer_forkserver()
        known_flows()
        check_traces(settings)
        runtime().check()
    except Exception as error:  # Celery would log it and go on without the flows
        text = f"{error}\n" if isinstance(error, PipelineError) else traceback.format_exc()
        sys.stderr.write(f"wave: {text}")
        sys.stderr.flush()
        os._exit(2)


@signals.worker_process_init.connect
def _fresh_clients(**_: Any) -> None:
    """Leave the parent's connections to the parent, and what was imported to the parent's pages.

    What tasks start in such a child is theirs alone, and ends with them.
    """
    allow_pools()
    runtime()
    gc.freeze()  # each full collection would go through it, a seventh of the time of tasks that make many objects


@signals.worker_process_shutdown.connect
@signals.worker_shutdown.connect
def _send_traces(**_: Any) -> None:
    """Send the last spans: a child of the pool ends without what Python does at an exit."""
    runtime().tracer.flush()
