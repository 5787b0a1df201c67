"""Wave: one execution of a flow over a state at a date, and how it stands."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Any

from pipeline.app import settings as app_settings
from pipeline.errors import UnknownName, WaveError, near
from pipeline.execution.current_run import running
from pipeline.flows.left_out import LeftOut
from pipeline.gate.incidents import Incident
from pipeline.gate.records import WaveInfo
from pipeline.gate.status import Status
from pipeline.gate.wave_spec import WaveSpec
from pipeline.waves.entity_statuses import EntityStatuses
from pipeline.waves.keeper import close
from pipeline.waves.progress import Progress
from pipeline.waves.retry import retry_wave
from pipeline.waves.runtime import Runtime, process_runtime

PAUSE = 0.05  # of the time waited so far, until Redis is asked again: what is told late is late by so much at most


class Wave:
    """One execution of a flow over a state at a date. `submit_wave` and `find` return it.

    Args:
        spec: What it was submitted as.
        runtime: The Redis that holds it.

    Example:
        >>> @task
        ... def delay(entity, date):
        ...     return 2.5 * date.hour
        >>> wave = run_wave(Flow("delays", [delay]), entities=["JFK-LAX"], date="2013-06-25T13")
        >>> print(wave.progress())
        test/delays 2013-06-25T13: closed, 1 of 1 ended: 1 finished
        >>> wave.result("delay", "JFK-LAX")
        32.5
    """

    def __init__(self, spec: WaveSpec, runtime: Runtime) -> None:
        self._spec = spec
        self.runtime = runtime

    @classmethod
    def find(cls, wave_id: str, runtime: Runtime | None = None) -> Wave:
        """Return the wave of that id. Raises UnknownName with the near ones, UnreadableError for a damaged one."""
        runtime = runtime or process_runtime(app_settings)
        spec = runtime.records.spec(wave_id)
        if spec is None:
            known = runtime.records.ids()
            raise UnknownName(
                f"no wave {wave_id!r} in Redis.{near(wave_id, known)} `wave ls` lists them all."
            )
        return cls(spec, runtime)

    def __repr__(self) -> str:
        return f"Wave({self.id!r})"

    @property
    def id(self) -> str:
        """`{version}/{flow} {date}`, and a digest where it differs from the flow's ordinary wave."""
        return self._spec.id

    @property
    def spec(self) -> WaveSpec:
        """What it was submitted as."""
        return self._spec

    @property
    def date(self) -> datetime:
        """The hour (UTC) that it is about."""
        return self._spec.date

    @property
    def _entities(self) -> EntityStatuses:
        return EntityStatuses(self._spec, self.runtime.records)

    @property
    def closed(self) -> bool:
        """Whether it has ended: all is done, or it was closed by its expiry or by `cancel`."""
        return self.info().state == "closed"

    def info(self) -> WaveInfo:
        """Return how it stands as a whole. Raises UnknownName when Redis has forgotten it."""
        info = self.runtime.records.info(self.id)
        if info is None:
            raise UnknownName(
                f"wave {self.id!r} is not in Redis any more: its ttl is over, or Redis lost it."
            )
        if info.submission != self._spec.submission:  # it was submitted again
            self._spec = self.runtime.records.spec(self.id) or self._spec
        return info

    def wait(self, timeout: float | None = None) -> Wave:
        """Wait until the wave has ended, and return it.

        Raises WaveError when it has not within `timeout` seconds, and in a task, which would hold the slot that the
        wave may need.
        """
        start = time.monotonic()
        while not self.closed:
            if (run := running()) is not None:
                raise WaveError(
                    f"task {run.task!r} waits for wave {self.id!r} in its own slot, which that wave may need to end. "
                    "Submit it without waiting, and let a task of a later wave read what it makes."
                )
            waited = time.monotonic() - start
            if timeout is not None and waited > timeout:
                raise WaveError(
                    f"not ended within {timeout:g} s: {self.progress()}. `wave show` tells what is open."
                )
            time.sleep(min(max(waited * PAUSE, 0.002), 0.1))
        return self

    def progress(self) -> Progress:
        """Count the entities of each task by status."""
        info, counts = self.info(), self.runtime.records.counts(self.id)
        ended = self.runtime.clock.time() if info.ended is None else info.ended
        return Progress.of(self._spec, info, counts, ended - info.submitted)

    def running(self) -> dict[str, int]:
        """Return, for each task that runs now, how many entities its shards have that do."""
        found: dict[str, int] = {}
        if not self.closed:
            for unit, condition in self.runtime.records.conditions(self.id).items():
                if condition.name == "running":
                    found[unit.task] = found.get(unit.task, 0) + self._spec.size(unit)
        return found

    def statuses(self, task: str) -> dict[str, Status]:
        """Return the status of each entity of a task; of its scope for a partition- or wave-scoped one."""
        reason = self.info().reason
        return self._entities.statuses(task, reason)

    def errors(self, task: str | None = None) -> dict[str, dict[str, str]]:
        """Return the texts of what failed or was skipped: task -> entity -> text."""
        return self._entities.errors(task)

    def unrun(self, task: str) -> dict[str, str]:
        """Explain of each entity of a task that the wave's early end left without a run why it had none yet."""
        reason = self.info().reason
        return self._entities.unrun(task, reason)

    def place(self, key: str) -> tuple[int, int] | None:
        """Return the number of an entity's shard and its index there; None where the wave does not have it."""
        return self._entities.place(key)

    def entity(self, number: int, index: int) -> tuple[dict[str, Status], dict[str, str]]:
        """Return how an entity stands in each task, and the texts of where it failed or was skipped.

        Tasks that run once a partition or wave are those of the entity.

        Args:
            number: Its shard's, as `place` returns it.
            index: Its place there.
        """
        reason = self.info().reason
        return self._entities.entity(number, index, reason)

    def incidents(self) -> list[Incident]:
        """Return what went otherwise than it should, oldest first, the first thousand: what was lost, hung, late ..."""
        return self.runtime.records.incidents(self.id)[0]

    def left_out(self) -> LeftOut:
        """Return the entities that it goes on without, as one of them was not as it has to be: who, and why."""
        return self.runtime.records.left_out(self.id)

    def result(self, task: str, entity: str) -> Any:
        """Return the value of a task for an entity. Raises UnknownName, with the status, when there is no pipe."""
        self._entities.units(task)
        found = self.runtime.store.get(self._spec.version, task, self.date, [entity], base=self._spec.base)
        if entity not in found:
            known = self.statuses(task)
            text = self.errors(task).get(task, {}).get(entity, "")
            why = (
                f"it is {_with_text(known[entity], text)}{'' if text.endswith('.') else '.'}"
                if entity in known
                else f"it has no such entity.{near(entity, known)}"
            )
            raise UnknownName(f"wave {self.id!r} has no pipe {task!r} of {entity!r}: {why}")
        return found[entity]

    def cancel(self) -> bool:
        """Close it: what is open is not run any more. False when it has ended already."""
        return close(self.runtime, self._spec, "cancelled")

    def retry(self) -> Wave:
        """Run failed, skipped and expired entities again; what is finished is kept.

        Raises:
            WaveError: The wave is open.
        """
        retry_wave(self._spec, self.runtime)
        return self


def _with_text(status: Status, text: str) -> str:
    """Write a status and why it came to it, without saying the reason twice."""
    if not text:
        return str(status)
    if status.reason and text.startswith(status.reason):
        return f"{status.status}: {text}"
    return f"{status}: {text}"
