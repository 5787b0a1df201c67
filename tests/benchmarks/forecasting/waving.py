"""Line 7: a whole forecasting wave beside the same computation in a plain loop.

Both read each entity's last four weeks from Redis, make the features, forecast 48 hours with intervals, and write a
pipe for each entity, in two processes. The wave has workers, a canvas, claims, statuses and deadlines besides. They run
in turn, and what is compared is the median of the turns' ratios.
"""

from __future__ import annotations

import statistics
import time
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from multiprocessing.pool import Pool
from tempfile import TemporaryDirectory

import numpy as np
from redis import Redis

from forecasting.features.panel import Panel
from forecasting.registry import ModelSettings, Registry
from pipeline import submit_wave
from pipeline.app import app, celery_settings
from pipeline.local.embedded import EmbeddedRedis
from pipeline.local.processes import Workers
from pipeline.settings import Settings
from pipeline.store import RedisStore, series
from pipeline.waves.runtime import Runtime
from tests.benchmarks.forecasting import loop, wave_flows
from tests.benchmarks.forecasting.figures import Figure, Options, Section, say
from tests.benchmarks.forecasting.m4 import Fitted

VERSION = "benchmark"
PROCESSES = 2
PARTITION = "default"  # of a state that is not partitioned
SAMPLE = 500  # entities that the work is measured with
PATIENCE = 600.0  # seconds until a wave must have ended
MOST = 1.1


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured."""

    entities: int
    seconds: float  # of work, on all processes together; a wave lasts half as long
    rounds: int


FULL = Size(10_000, 44.0, 3)
SHORT = Size(1_000, 3.0, 1)


def run(fitted: Fitted, options: Options) -> list[Section]:
    """Measure the waves and the loops in turn."""
    size = SHORT if options.short else FULL
    with TemporaryDirectory(prefix="wave-models-") as models, EmbeddedRedis() as redis:
        bench = Bench.prepare(redis.url, models, fitted, size)
        waves, loops = bench.measure(size)
    ratios = [wave / plain for wave, plain in zip(waves, loops, strict=True)]
    figures = (
        Figure("wave_s", "seconds of the wave", statistics.median(waves), "{:.1f}"),
        Figure("wave_loop_s", "seconds of the plain loop", statistics.median(loops), "{:.1f}"),
        Figure(
            "wave_overhead",
            "the wave takes so many times as long",
            statistics.median(ratios),
            most=None if options.short else MOST,
        ),
        Figure("wave_overhead_worst", "  in the worst round", max(ratios)),
    )
    heading = f"7. A wave of {size.entities:,} entities, {PROCESSES} processes, {size.rounds} rounds"
    return [Section(heading, figures)]


@dataclass(frozen=True)
class Bench:
    """A Redis with the windows of all entities, and a registry with a model."""

    url: str
    models: str
    names: list[str]
    end: datetime
    runtime: Runtime

    @classmethod
    def prepare(cls, url: str, models: str, fitted: Fitted, size: Size) -> Bench:
        """Fill the store, keep the model, and let it do so much work as is wanted."""
        settings = Settings(redis_url=url, version=VERSION)
        app.conf.update(celery_settings(settings))
        names = [f"meter-{i:05d}" for i in range(size.entities)]
        end = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
        bench = cls(url, models, names, end, Runtime(settings))
        bench.fill(fitted.history, size.rounds + 1)
        times = max(round(size.seconds / (_seconds(fitted, SAMPLE) * size.entities / SAMPLE)), 1)
        say(f"waves: each entity is forecast {times} times")
        registry = Registry(models, ModelSettings())
        span = (fitted.history.hours[0].to_pydatetime(), fitted.history.hours[-1].to_pydatetime())
        kept = registry.save(
            wave_flows.PIPE, PARTITION, wave_flows.Repeated(fitted.model, times), span, entities=size.entities
        )
        registry.promote(wave_flows.PIPE, PARTITION, kept.version, force=True)
        return bench

    def fill(self, history: Panel, rounds: int) -> None:
        """Write the series of all entities, the last hours of real ones; no gaps, as in most windows."""
        y = history.y[:, ~np.isnan(history.y).any(axis=0)]
        hours = loop.HOURS + rounds
        y = np.pad(y, ((max(hours - len(y), 0), 0), (0, 0)), mode="wrap")[-hours:]
        with Redis.from_url(self.url) as client:
            store, start = RedisStore(client), 0
            for span in series.spans(self.end, hours):
                rows = [series.pack(row) for row in np.ascontiguousarray(y[start : start + span.hours].T)]
                keys = [f"{VERSION}/{wave_flows.PIPE} {name}{span.tail}" for name in self.names]
                slots = [rows[i % len(rows)] for i in range(len(keys))]
                store._write_slots(keys, span.offset, slots, int(self.end.timestamp() + loop.TTL))
                start += span.hours

    def measure(self, size: Size) -> tuple[list[float], list[float]]:
        """Give the seconds of each wave and of each loop; the first round is not counted, all warm up in it."""
        waves, loops = [], []
        env = {"PIPELINE_MODELS": self.models}
        with ExitStack() as stack:
            pool = stack.enter_context(loop.processes(self.url, self.models, PROCESSES))
            workers = Workers(
                self.url, [wave_flows.__name__], PROCESSES, version=VERSION, env=env, patience=0
            )
            stack.enter_context(workers).wait_ready()
            for number in range(size.rounds + 1):
                date = self.end - timedelta(hours=size.rounds - number)
                wave, shard = self._wave(date)
                # The loop's chunks are as large as the wave's shards: neither has better use of the caches.
                plain = self._loop(pool, date, shard)
                if number:
                    waves.append(wave)
                    loops.append(plain)
                    say(f"waves: {wave:.1f} s, the loop {plain:.1f} s")
        return waves, loops

    def _wave(self, date: datetime) -> tuple[float, int]:
        """Run a wave: its seconds, and the entities of its largest shard."""
        start = time.perf_counter()
        wave = submit_wave(
            wave_flows.forecasts,
            date=date,
            entities=self.names,
            only=[wave_flows.FORECAST],
            runtime=self.runtime,
        )
        wave.wait(PATIENCE)
        seconds = time.perf_counter() - start
        progress, spec = wave.progress(), self.runtime.records.spec(wave.id)
        if spec is None or not progress.count("finished") == progress.total == len(self.names):
            raise RuntimeError(f"{progress}: {str(wave.errors(wave_flows.FORECAST))[:500]}")
        return seconds, max(spec.sizes)

    def _loop(self, pool: Pool, date: datetime, shard: int) -> float:
        start = time.perf_counter()
        loop.run(pool, VERSION, PARTITION, self.names, date, shard)
        return time.perf_counter() - start


def _seconds(fitted: Fitted, entities: int) -> float:
    """Measure what one forecast of so many entities costs a process."""
    y = fitted.history.y[-loop.HOURS :]
    count = -(-entities // y.shape[1])
    names = tuple(f"e{i}" for i in range(entities))
    panel = Panel(
        fitted.history.hours[-loop.HOURS :], names, *(np.tile(a, count)[:, :entities] for a in (y, y * 0 + 1))
    )
    taken = []
    for _ in range(3):
        start = time.process_time()
        fitted.model.forecast(panel)
        taken.append(time.process_time() - start)
    return min(taken)
