"""The scene: a Redis with an append-only file, workers, and who kills them."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from redis import Redis
from redis.exceptions import RedisError

from pipeline import Flow, Wave, submit_wave
from pipeline.errors import UnreachableError
from pipeline.flows.discover import load_flows
from pipeline.local.processes import Workers
from pipeline.local.supervise import Child
from pipeline.settings import Settings
from pipeline.waves.runtime import Runtime
from tests.chaos.faults import START, Faults, counters
from tests.chaos.flows import deliver_some_twice
from tests.chaos.outcome import Outcome, outcome
from tests.support.breakable_redis import BreakableRedis
from tests.support.clocks import wrong_clock
from tests.support.release_before import WorkersOf, check_out

FLOWS = str(Path(__file__).with_name("flows.py"))
LEASE = 6  # seconds; shorter than the default, as these workers live for seconds only
SHARD = 100  # entities
ORPHAN_SECONDS = 10.0  # that a killed worker's children have to end by themselves
SETTLE = 10.0  # seconds that late reports have
PATIENCE = 15.0  # seconds that workers have at the end
WRONG_CLOCK = Path(__file__).with_name("wrong_clock")
REDIS = {"appendonly": "yes", "appendfsync": "everysec", "auto-aof-rewrite-percentage": "0"}


@dataclass
class Crowd:
    """Workers of several kinds, by name."""

    kinds: dict[str, Workers]
    chance: random.Random
    whole: int  # workers that there are to be
    kills: int = 0
    ended: int = 0  # workers that were ended by others, as one is that stands still
    orphans: int = 0  # killed workers whose children did not end by themselves
    _dead: list[tuple[float, Workers, Child]] = field(default_factory=list)

    def living(self) -> list[tuple[Workers, Child]]:
        """Give the workers that are ready."""
        dead = {id(child) for _, _, child in self._dead}
        return [
            (workers, child)
            for workers in self.kinds.values()
            for child in workers.children
            if not child.cleared and id(child) not in dead and child.ready.exists()
        ]

    def kill_one(self) -> None:
        """Kill the main process of some worker, as the system does when memory runs out, and start another.

        Not while half of them are starting, as on a machine that is busy with other things: else none would work.
        """
        living = self.living()
        if 2 * len(living) > self.whole:
            workers, child = self.chance.choice(living)
            child.send(signal.SIGKILL)
            self._dead.append((time.monotonic(), workers, child))
            self.kills += 1
            workers.add()

    def started(self, name: str) -> int:
        """Count the workers of kinds that are named so."""
        return sum(len(workers.children) for kind, workers in self.kinds.items() if name in kind)

    def replace_ended(self) -> None:
        """Start another worker for each that has ended without being killed here, as a service does."""
        dead = {id(child) for _, _, child in self._dead}
        for workers in self.kinds.values():
            for n, child in enumerate(list(workers.children)):
                if child.code is not None and not child.cleared and id(child) not in dead:
                    workers.kill(n)
                    workers.add()
                    self.ended += 1

    def bury(self, age: float = ORPHAN_SECONDS) -> None:
        """Clear away what is left of workers that were killed some seconds ago."""
        for entry in list(self._dead):
            at, workers, child = entry
            if time.monotonic() - at >= age:
                self._dead.remove(entry)
                self.orphans += (
                    len(_group(child.pid)) > 1
                )  # its own process waits for us, so that it still counts
                workers.kill(workers.children.index(child))


def _group(pid: int) -> list[str]:
    return subprocess.run(
        ["pgrep", "-g", str(pid)], capture_output=True, text=True, check=False
    ).stdout.split()


@dataclass
class Scene:
    """Everything that runs, and the waves that were submitted."""

    redis: BreakableRedis
    crowd: Crowd
    runtime: Runtime
    counted: Redis  # where faults are counted
    flow: Flow
    faults: Faults
    expiry: float  # seconds, of each wave
    waves: list[Wave] = field(default_factory=list)
    past: dict[str, Outcome] = field(default_factory=dict)  # of waves that Redis was emptied of, by id
    flushes: int = 0
    again: int = 0  # waves that were submitted again

    @property
    def client(self) -> Redis:
        """A client of the control Redis."""
        return self.runtime.client

    def submit(self) -> None:
        """Submit the next hour's wave, unless Redis is away."""
        if (wave := self._submitted(len(self.waves))) is not None:
            self.waves.append(wave)

    def _submitted(self, number: int) -> Wave | None:
        date = START + timedelta(hours=number)
        try:
            return submit_wave(self.flow, date=date, expiry=self.expiry, runtime=self.runtime)
        except UnreachableError:
            return None

    def flush(self) -> None:
        """Empty Redis, and submit again what was open; what has ended is looked at before."""
        while ended := [wave for wave in self.waves if wave.id not in self.past and wave.closed]:
            for wave in ended:
                self.past[wave.id] = settled(wave, self.runtime)
        self.client.flushdb()
        self.flushes += 1
        for number, wave in enumerate(self.waves):
            if wave.id not in self.past:
                while (found := self._submitted(number)) is None:
                    time.sleep(0.1)
                self.waves[number] = found
                self.again += 1

    def outcomes(self) -> list[Outcome]:
        """Look at all waves; at those that Redis was emptied of it was done before."""
        return [self.past.get(wave.id) or outcome(wave, self.runtime) for wave in self.waves]

    def open(self) -> int:
        """Count the waves that have not ended; all of them when Redis does not answer."""
        try:
            return sum(wave.id not in self.past and not wave.closed for wave in self.waves)
        except RedisError:
            return len(self.waves)


def settled(wave: Wave, runtime: Runtime) -> Outcome:
    """Look at a wave that has ended, again while a late report may still be on its way."""
    limit = time.monotonic() + SETTLE
    while not (found := outcome(wave, runtime)).clean and time.monotonic() < limit:
        time.sleep(0.5)
    return found


def crew(url: str, env: Mapping[str, str], faults: Faults, before: Path) -> dict[str, Workers]:
    """Choose the workers: pools of either kind, some that run one unit at a time, and some of those odd in a way."""

    def kind(ahead: str = "", **options: Any) -> Workers:
        clock = clock_ahead(ahead) if ahead and faults.clocks else {}
        return Workers(url, flows=[FLOWS], env={**env, **clock}, patience=PATIENCE, **options)

    found = {
        "usual": kind(count=2, concurrency=3),
        "alone": kind(concurrency=1),
        "threads": kind(pool="threads", concurrency=4, queues=["threads"]),
        "clocks, 2 h": kind("+2h", concurrency=3),
        "clocks, 30 d": kind("+30d", concurrency=1),
    }
    if faults.mixed:
        code, options = check_out(before), {"flows": [FLOWS], "env": env, "patience": PATIENCE}
        found["mixed"] = WorkersOf(code, url, concurrency=3, **options)
        found["mixed, alone"] = WorkersOf(code, url, concurrency=1, **options)
    return found


def clock_ahead(offset: str) -> dict[str, str]:
    """Write the environment of a process whose clock is ahead, and that can sleep all the same."""
    return wrong_clock(offset) | {
        "PYTHONPATH": os.pathsep.join([str(WRONG_CLOCK), os.environ.get("PYTHONPATH", "")])
    }


@contextmanager
def scene(entities: int, expiry: float, seed: int, faults: Faults) -> Iterator[Scene]:
    """Set the scene: Redis, workers, and who submits."""
    told = faults.env(entities, seed)
    os.environ |= told  # the state's source, and what decides who is guilty, are asked here, too
    env = told | {"PIPELINE_LEASE": f"{LEASE}s", "PIPELINE_SHARD_MAX": str(SHARD)}
    with ExitStack() as stack:
        redis = stack.enter_context(BreakableRedis(REDIS))
        before = Path(stack.enter_context(TemporaryDirectory()))
        kinds = crew(redis.url, env, faults, before)
        for workers in kinds.values():
            stack.enter_context(workers)
        for workers in kinds.values():
            workers.wait_ready()
        settings = Settings(redis_url=redis.url, version="main", shard_size=SHARD, shard_max=SHARD)
        counted = stack.enter_context(counters(redis.url))
        if faults.twice:
            deliver_some_twice(lambda: counted.incr("doubled"))
        crowd = Crowd(kinds, random.Random(seed), sum(len(workers.children) for workers in kinds.values()))
        flow = load_flows([FLOWS])["chaos"]
        yield Scene(redis, crowd, Runtime(settings), counted, flow, faults, expiry)
        crowd.bury(0.0)
