"""Run a flow for a range of past hours, a bounded number of them in flight.

What is not in flight is not submitted yet, so that a backfill can be stopped at any moment, and an hourly wave never
waits behind it for long. The waves in flight are asked for all at once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property

from pipeline.errors import KeyFormatError
from pipeline.flows.cron import Cron
from pipeline.flows.flow import Flow
from pipeline.flows.pipe import ONE_HOUR, floor
from pipeline.flows.plan import compile_flow
from pipeline.flows.state import State
from pipeline.gate import status
from pipeline.gate.keys import wave_key
from pipeline.gate.units import ALL
from pipeline.states import Group
from pipeline.waves.runtime import Runtime
from pipeline.waves.submit import submit_wave, wave_id_of
from pipeline.waves.wave import Wave

IN_FLIGHT = 8
SHORTEST, LONGEST = 0.005, 0.1  # seconds between two looks at the waves in flight
PROBE = 500  # entities that are asked for their pipes in one go


def hours(first: datetime, last: datetime, flow: Flow, every: timedelta | None = None) -> list[datetime]:
    """Return the hours from `first` to `last`, both included, oldest first.

    Every hour at which the flow is due, or all of them where it has no schedule; with `every`, one each so long.
    Raises KeyFormatError when there are none.
    """
    if last < first:
        raise KeyFormatError(
            f"the backfill would end at {last:%Y-%m-%dT%H}, before it begins at {first:%Y-%m-%dT%H}."
        )
    step = every or ONE_HOUR
    found = [first + step * n for n in range((last - first) // step + 1)]
    if every is None and flow.schedule is not None:
        cron, last_second = Cron.parse(flow.schedule), ONE_HOUR - timedelta(seconds=1)
        found = [date for date in found if floor(cron.last(date + last_second)) == date]
    if not found:
        raise KeyFormatError(
            f"flow {flow.name!r} is never due from {first:%Y-%m-%dT%H} to {last:%Y-%m-%dT%H} by its schedule "
            f"{flow.schedule!r}. Give --every 1h for all hours."
        )
    return found


@dataclass
class Tally:
    """How far a backfill is, in dates."""

    total: int
    begun: int = 0  # submitted, run again or found to be there
    ended: int = 0  # of these, whose waves have ended
    skipped: int = 0  # complete before, or submitted before and closed: nothing was run
    retried: int = 0  # run again for what they lacked
    # ids of waves in which something failed, or that were closed early
    failed: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def in_flight(self) -> int:
        """How many waves have not ended."""
        return self.begun - self.ended


@dataclass
class Backfill:
    """A flow over some dates.

    in_flight   waves that are open at a time
    missing     run only what is lacking. A wave that Redis still knows is run again for what failed, came late or
                was closed before its end. Of a date whose wave is forgotten, all is run unless each task has a pipe
                of at least one entity there; pipes that are there stay as they are
    """

    flow: Flow
    dates: Sequence[datetime]
    runtime: Runtime
    in_flight: int = IN_FLIGHT
    missing: bool = False
    version: str | None = None
    base: str | None = None
    state: State | None = None  # the flow's by default
    only: Sequence[str] | None = None

    def __post_init__(self) -> None:
        self.tally = Tally(len(self.dates))
        self._open: dict[str, Wave] = {}
        self._version = self.version or self.runtime.settings.any_version()
        self._plan = compile_flow(self.flow, self.only)

    def run(self, seen: Callable[[Tally], None] = lambda _: None) -> Tally:
        """Run all dates and wait for their ends; `seen` is told of each change.

        Interrupted, it leaves the waves in flight to the workers; `next_date` says where to go on.
        """
        began, pause, todo = time.monotonic(), SHORTEST, iter(self.dates)
        while self._fill(todo) or self._open:
            changed = self._collect()
            self.tally.seconds = time.monotonic() - began
            pause = SHORTEST if changed else min(pause * 1.5, LONGEST)
            seen(self.tally)
            if not changed and self._open:
                time.sleep(pause)
        return self.tally

    @property
    def next_date(self) -> datetime | None:
        """The first date that was not begun, None when all were."""
        return self.dates[self.tally.begun] if self.tally.begun < len(self.dates) else None

    def _fill(self, todo: Iterator[datetime]) -> bool:
        """Submit until enough waves are in flight; False when no date is left."""
        while len(self._open) < self.in_flight:
            date = next(todo, None)
            if date is None:
                return False
            wave = self._begin(date)
            self.tally.begun += 1
            if wave is None:
                self.tally.ended += 1
                self.tally.skipped += 1
            else:
                self._open[wave.id] = wave
        return True

    def _begin(self, date: datetime) -> Wave | None:
        """Start a date's wave, or join the one that is open; None when there is nothing to run."""
        wave_id = wave_id_of(self.flow, date, self._version, self.base, self.only, None, self.state)
        known = self.runtime.records.info(wave_id)
        if known is not None and known.state == "closed":
            return self._again(Wave.find(wave_id, self.runtime))
        if known is None and self.missing and self._complete(date):
            return None
        return submit_wave(
            self.flow,
            date,
            self.state,
            None,
            self._version,
            self.base,
            self.only,
            backfill=True,
            runtime=self.runtime,
        )

    def _again(self, wave: Wave) -> Wave | None:
        """Run again what a closed wave lacks, if that is asked for."""
        if wave.id not in self._lacking([wave.id]):
            return None
        if not self.missing:
            self.tally.failed.append(wave.id)
            return None
        self.tally.retried += 1
        return wave.retry()

    def _collect(self) -> bool:
        """Take the waves that have ended out of those in flight."""
        ids = list(self._open)
        with self.runtime.client.pipeline(transaction=False) as pipe:
            for wave_id in ids:
                pipe.hget(wave_key(wave_id), "state")
            states = pipe.execute()
        ended = [wave_id for wave_id, state in zip(ids, states, strict=True) if state in (b"closed", None)]
        self.tally.failed += self._lacking(ended)
        for wave_id in ended:
            del self._open[wave_id]
        self.tally.ended += len(ended)
        return bool(ended)

    def _lacking(self, ids: Sequence[str]) -> list[str]:
        """Return those of some closed waves that did not end well, or in which something failed or came late."""
        with self.runtime.client.pipeline(transaction=False) as pipe:
            for wave_id in ids:
                pipe.hget(wave_key(wave_id), "reason")
                pipe.hgetall(f"{wave_key(wave_id)} counts")
            answers = pipe.execute()
        return [
            wave_id
            for wave_id, reason, counts in zip(ids, answers[::2], answers[1::2], strict=True)
            if reason not in (b"done", b"empty")
            or self._lacks([name for name, n in counts.items() if int(n)])
        ]

    def _lacks(self, counts: Sequence[bytes]) -> bool:
        """Return whether a second run may finish what a wave did not; `counts` are those above zero, `task character`.

        What was skipped because its input made no observation is as it should be, unless the input came late. A wave
        of some tasks only cannot tell that from an input that failed elsewhere.
        """
        chars = [count.decode().partition(" ")[2] for count in counts]
        found = [status.decode(char) for char in chars if len(char) == 1]
        missed = any(s.reason == "missing input" for s in found)
        if missed and (self.only is not None or any(s.late for s in found)):
            return True
        return any(s.status in ("failed", "skipped") and s.reason != "missing input" for s in found)

    def _complete(self, date: datetime) -> bool:
        """Return whether each task has a pipe of at least one entity at a date."""
        return all(self._any_pipe(name, date) for name in self._plan.steps)

    def _any_pipe(self, task: str, date: datetime) -> bool:
        keys = self._keys(task)
        return any(
            self.runtime.store.get(self._version, task, date, keys[start : start + PROBE])
            for start in range(0, len(keys), PROBE)
        )

    def _keys(self, task: str) -> list[str]:
        """Return the keys under which a task's pipes are, for the entities that the state holds now."""
        groups, made_by = self._members, self.flow.tasks[task]
        if made_by.per is None or made_by.batch:
            return [key for _, keys, _ in groups for key in keys]
        return [ALL] if made_by.per == "wave" else [f"@{partition}" for partition, _, _ in groups]

    @cached_property
    def _members(self) -> list[Group]:
        state = self.state or self.flow.state
        return [] if state is None else self.runtime.states.bind(state).snapshot()
