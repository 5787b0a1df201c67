"""The scene: a Redis with an append-only file, workers, and who kills them."""

from __future__ import annotations

import random
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from redis import Redis
from redis.exceptions import RedisError

from pipeline import Flow, Wave, submit_wave
from pipeline.errors import UnreachableError
from pipeline.flows.discover import load_flows
from pipeline.local.processes import Workers
from pipeline.local.supervise import Child
from pipeline.settings import Settings
from pipeline.waves.runtime import Runtime
from tests.chaos.flows import deliver_some_twice
from tests.support.breakable_redis import BreakableRedis
from tests.support.release_before import WorkersOf, check_out

FLOWS = str(Path(__file__).with_name("flows.py"))
LEASE = 6  # seconds; shorter than the default, as these workers live for seconds only
SHARD = 100  # entities
ORPHAN_SECONDS = 10.0  # that a killed worker's children have to end by themselves
CITIES = 5
START = datetime(2026, 3, 1, tzinfo=UTC)
REDIS = {"appendonly": "yes", "appendfsync": "everysec", "auto-aof-rewrite-percentage": "0"}


@dataclass
class Crowd:
    """Workers of two kinds: some run several units at once, some run one."""

    kinds: tuple[Workers, ...]
    chance: random.Random
    kills: int = 0
    orphans: int = 0  # killed workers whose children did not end by themselves
    _dead: list[tuple[float, Workers, Child]] = field(default_factory=list)

    def living(self) -> list[tuple[Workers, Child]]:
        """Give the workers that are ready."""
        dead = {id(child) for _, _, child in self._dead}
        return [
            (workers, child)
            for workers in self.kinds
            for child in workers.children
            if not child.cleared and id(child) not in dead and child.ready.exists()
        ]

    def kill_one(self) -> None:
        """Kill the main process of some worker, as the system does when memory runs out, and start another."""
        living = self.living()
        if living:
            workers, child = self.chance.choice(living)
            child.send(signal.SIGKILL)
            self._dead.append((time.monotonic(), workers, child))
            self.kills += 1
            workers.add()

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
    flow: Flow
    entities: dict[str, dict[str, str]]
    expiry: float  # seconds, of each wave
    waves: list[Wave] = field(default_factory=list)

    @property
    def client(self) -> Redis:
        """A client of the control Redis."""
        return self.runtime.client

    def submit(self) -> Wave | None:
        """Submit the next hour's wave, as somebody who asks again when Redis was away."""
        date = START + timedelta(hours=len(self.waves))
        try:
            wave = submit_wave(
                self.flow, date=date, entities=self.entities, expiry=self.expiry, runtime=self.runtime
            )
        except UnreachableError:
            return None
        self.waves.append(wave)
        return wave

    def open(self) -> int:
        """Count the waves that have not ended; all of them when Redis does not answer."""
        try:
            return sum(not wave.closed for wave in self.waves)
        except RedisError:
            return len(self.waves)


@contextmanager
def scene(
    entities: int,
    expiry: float,
    seed: int,
    many: int = 3,
    alone: int = 2,
    twice: bool = True,
    concurrency: int = 3,
    mixed: bool = False,
) -> Iterator[Scene]:
    """Set the scene: so many workers that run several units at once, and that run one.

    `mixed` makes the latter workers of the release before.
    """
    env = {"PIPELINE_LEASE": f"{LEASE}s", "PIPELINE_SHARD_MAX": str(SHARD)} | (
        {"CHAOS_TWICE": "1"} if twice else {}
    )
    names = {f"shop{n:05}": {"city": f"city{n % CITIES}"} for n in range(entities)}
    with BreakableRedis(REDIS) as redis, TemporaryDirectory() as folder:
        kind = partial(WorkersOf, check_out(Path(folder))) if mixed else Workers
        options = {"flows": [FLOWS], "env": env, "patience": 15}
        with (
            Workers(redis.url, count=many, concurrency=concurrency, **options) as first,
            kind(redis.url, count=alone, concurrency=1, **options) as second,
        ):
            first.wait_ready()
            second.wait_ready()
            settings = Settings(redis_url=redis.url, version="main", shard_size=SHARD, shard_max=SHARD)
            runtime = Runtime(settings)
            if twice:
                deliver_some_twice(lambda: runtime.client.incr("chaos:doubled"))
            crowd = Crowd((first, second), random.Random(seed))
            yield Scene(redis, crowd, runtime, load_flows([FLOWS])["chaos"], names, expiry)
            crowd.bury(0.0)
