"""What a Celery worker runs: one task for every unit of every flow, the start of waves, and the keeper.

Workers meet no other task names, so that none is ever unregistered. The tasks never raise and give no result: in a
chord's header an exception would drop the body.
"""

from __future__ import annotations

import os
import sys
import uuid
from functools import cache
from typing import Any

import structlog
from celery import bootsteps, signals
from celery.exceptions import WorkerLostError
from celery.worker import state as worker_state
from celery.worker.request import Request

from pipeline.app import app, settings
from pipeline.canvas import JOIN, RUN, SUBMIT
from pipeline.discover import Flows, load_flows
from pipeline.errors import PipelineError
from pipeline.keeper import Keeper, finish
from pipeline.logs import get_logger
from pipeline.runner import Runner
from pipeline.runtime import Runtime, process_runtime
from pipeline.submit import submit_wave
from pipeline.units import Unit

log = get_logger("pipeline.worker")

# Of this worker's main process; children inherit it by fork, so that the main process renews what they hold.
OWNER = uuid.uuid4().hex[:12]


@cache
def known_flows() -> Flows:
    """Give the flows of PIPELINE_FLOWS, imported once."""
    return load_flows(settings.flows)


def runtime() -> Runtime:
    """Give this process' clients."""
    return process_runtime(settings)


def make_runner(found: Runtime) -> Runner:
    """Put a runner together from a process' clients."""
    return Runner(
        found.gate,
        found.records,
        found.store,
        known_flows(),
        found.rates,
        found.states.bind,
        OWNER,
        settings.lease,
    )


class PipelineRequest(Request):
    """A message in the worker's main process."""

    def on_failure(self, exc_info: Any, send_failed_event: bool = True, return_ok: bool = False) -> Any:
        """End the lease of a child that died at once; its message comes back by itself."""
        if isinstance(exc_info.exception, WorkerLostError):
            held = _unit_of(self)
            if held is not None:
                runtime().gate.drop(OWNER, [held])
        return super().on_failure(exc_info, send_failed_event=send_failed_event, return_ok=return_ok)


@app.task(name=RUN, Request="pipeline.worker:PipelineRequest", ignore_result=True)
def run(wave_id: str, task: str, where: str, follow: int) -> None:
    """Run one unit of a wave, if the gate grants it, and send what follows."""
    unit = Unit(task, where)
    with structlog.contextvars.bound_contextvars(wave=wave_id, task=task, shard=where):
        try:
            found = runtime()
            ran = make_runner(found).run(wave_id, unit)
            finish(ran, unit, bool(follow), runtime().sender, found.records)
        except Exception:
            log.exception("a run broke off; its lease will end and it is run again")
            return
        if ran.answer == "unknown":
            log.warning(
                "this worker does not know the task; left for one that does", flows=list(known_flows())
            )


@app.task(name=JOIN, ignore_result=True)
def join() -> None:
    """Do nothing: the body of a chord between two parallel parts."""


@app.task(name=SUBMIT, ignore_result=True)
def submit(flow: str, date: str) -> None:
    """Start the wave of a flow for the hour that was due."""
    try:
        submit_wave(known_flows().find(flow), date=date, runtime=runtime())
    except PipelineError as error:
        log.error("cannot start the wave", flow=flow, date=date, error=str(error))
    except Exception:
        log.exception("cannot start the wave", flow=flow, date=date)


def _unit_of(request: Any) -> tuple[str, Unit] | None:
    if request.type != RUN:  # its name is the shadow that Flower shows
        return None
    wave_id, task, where, *_ = request.args
    return wave_id, Unit(task, where)


def held() -> list[tuple[str, Unit]]:
    """Give the units that this worker's children run now."""
    found = [_unit_of(request) for request in _active()]
    return [unit for unit in found if unit is not None]


def _active() -> list[Any]:
    """Copy the set that the worker's loop changes while the keeper's thread reads it."""
    while True:
        try:
            return list(worker_state.active_requests)
        except RuntimeError:  # it grew meanwhile
            continue


class KeeperStep(bootsteps.StartStopStep):
    """Runs the keeper in the worker's main process."""

    requires = ("celery.worker.components:Pool",)

    def __init__(self, parent: Any, **kwargs: Any) -> None:
        super().__init__(parent, **kwargs)
        self.keeper: Keeper | None = None

    def start(self, parent: Any) -> None:
        """Start it when the pool runs."""
        self.keeper = Keeper(make_runner(runtime()), runtime().sender, held, settings.keeper)
        self.keeper.start()

    def stop(self, parent: Any) -> None:
        """End it before the pool ends."""
        if self.keeper is not None:
            self.keeper.stop()

    terminate = stop


app.steps["worker"].add(KeeperStep)


@signals.worker_init.connect
def _check(**_: Any) -> None:
    """Refuse to start where the version or the flows are not known, before anything is taken from a queue."""
    try:
        settings.own_version()
        known_flows()
        runtime().check()
    except PipelineError as error:
        sys.stderr.write(f"wave: {error}\n")
        sys.stderr.flush()
        os._exit(2)


@signals.worker_process_init.connect
def _fresh_clients(**_: Any) -> None:
    """Leave the parent's connections to the parent."""
    process_runtime(settings)
