"""What line 7 compares a wave with: a plain loop over the same entities, in as many processes, without any engine."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from multiprocessing.pool import Pool

from redis import Redis

from forecasting.features.panel import Panel
from forecasting.reading.recalibration import recalibrate
from forecasting.registry import process_registry
from forecasting.registry.estimator_calls import forecasts_of
from pipeline.execution.inputs import frame
from pipeline.store import RedisStore
from tests.benchmarks.forecasting.wave_flows import FORECAST, PIPE

VERSION = "loop"  # under which it writes, so that each of its pipes is a first write
HOURS = 672  # that a forecast looks at
TTL = 30 * 86400.0

_store: RedisStore


def processes(url: str, models: str, count: int) -> Pool:
    """Start them. They begin anew, so that no thread of this process' OpenMP is missing in them."""
    os.environ |= {"OMP_NUM_THREADS": "1", "PIPELINE_MODELS": models}
    return multiprocessing.get_context("spawn").Pool(count, _begin, (url,))


def run(pool: Pool, version: str, partition: str, names: Sequence[str], date: datetime, size: int) -> None:
    """Forecast all entities in chunks of a size; each process takes the next one when it is done with one."""
    chunks = [names[start : start + size] for start in range(0, len(names), size)]
    for _ in pool.imap_unordered(partial(_chunk, version, partition, date), chunks):
        pass


def _begin(url: str) -> None:
    global _store
    os.setsid()  # as workers are: on a busy machine Linux gives each session its share
    _store = RedisStore(Redis.from_url(url))


def _chunk(version: str, partition: str, date: datetime, names: Sequence[str]) -> None:
    window = _store.window(version, PIPE, date, HOURS, names)
    panel = Panel.from_frames(frame(window, date, names))
    live = process_registry().serving(PIPE, partition)
    found = recalibrate(forecasts_of(live.model, panel), panel, FORECAST, VERSION, _store)
    _store.put(VERSION, FORECAST, date, found.to_pipes(live.version, observed=PIPE), TTL)
