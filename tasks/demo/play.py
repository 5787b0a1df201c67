"""Playing the demo: server, workers, history, training, a day of waves, scores, picture."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd
from redis import RedisError
from rich.console import Console

from forecasting.reading.reader import read_forecasts
from pipeline.cli.session import Session
from pipeline.errors import PipelineError, WaveError
from pipeline.gate.keys import WAVES
from pipeline.local.embedded import serving
from pipeline.local.processes import Workers
from pipeline.waves.backfill import Backfill, Tally
from pipeline.waves.runtime import Runtime
from pipeline.waves.submit import submit_wave
from pipeline.waves.wave import Wave
from tasks import delays
from tasks.demo import show
from tasks.demo.day import Day
from tasks.demo.longer import backtest, steps
from tasks.demo.picture import draw
from tasks.demo.script import Script
from tasks.demo.stop import Check, stoppable
from tasks.demo.truth import Truth

WORKERS = 2
IN_FLIGHT = 12  # waves of the history at a time
PATIENCE = 3.0  # seconds that workers have to finish at the end, or after Ctrl-C
WAVE_LIMIT = 120.0  # seconds that one wave may take
TRAINING_LIMIT = 600.0


def play(session: Session, days: int, out: Path) -> None:
    """Play the whole demo. Raises PipelineError where something that it needs is missing or goes wrong."""
    console = Console()
    try:
        with stoppable() as check:
            _play(session, Script(days), out, console, check)
    except KeyboardInterrupt:
        console.print("\nStopped. Nothing is left running.")
        raise


def _play(session: Session, script: Script, out: Path, console: Console, check: Check) -> None:
    began = time.monotonic()
    show.opening(console, script)
    with engine(session, script, console) as runtime:
        truth = Truth()
        load_history(runtime, script, console, check)
        train(runtime, script, console)
        day = run_day(runtime, script, truth, console, check)
    show.day_scores(console, day)
    scores = []
    with show.counting(console, "longer backtest", len(steps(truth))) as count:
        for found in backtest(truth, script.days, check):
            scores.append(found)
            count(len(scores))
    show.longer_scores(console, pd.concat(scores, ignore_index=True))
    picture, took = draw(day, script, out), time.monotonic() - began
    console.print(f"Picture: {picture}\nAll in {took:.0f} s.", highlight=False)


@contextmanager
def engine(session: Session, script: Script, console: Console) -> Iterator[Runtime]:
    """Yield clients of a Redis that workers take from, until the block ends; nothing is left afterwards."""
    url = session.chosen.redis or os.environ.get("REDIS_URL")
    # A version of its own, so that on a Redis of yours it meets nothing that is there.
    version = f"demo-{secrets.token_hex(4)}"
    with TemporaryDirectory(prefix="wave-demo-") as models, serving(url) as redis_url:
        settings = replace(
            session.settings, redis_url=redis_url, store_url="", version=version, models=models
        )
        runtime = Runtime(settings)
        runtime.check()
        env = {
            "PIPELINE_MODELS": models,
            "PIPELINE_STORE_URL": "",
            # Of a short history (--days) some airport's model may be no better than the seasonal naive.
            "PIPELINE_GATE_DEV": "naive=1.5",
            "PIPELINE_STAGE": "dev",
            "PIPELINE_MODELS_TOPIC": "",
            delays.OUTAGE: script.outage_text,
        }
        try:
            with Workers(
                redis_url, ["tasks.delays"], count=WORKERS, version=version, env=env, patience=PATIENCE
            ) as workers:
                with console.status("starting two Celery workers"):
                    workers.wait_ready()
                show.ready(console, workers, url)
                yield runtime
        finally:
            if url:
                forget(runtime, version)


def load_history(runtime: Runtime, script: Script, console: Console, check: Check) -> None:
    """Run the waves of the past: what the sources told, without forecasts."""
    only = [task.name for task in delays.SOURCES]
    filling = Backfill(delays.delays, script.history, runtime, in_flight=IN_FLIGHT, only=only)
    with show.counting(console, f"{script.days} days of history", len(script.history)) as count:

        def seen(now: Tally) -> None:
            check()
            count(now.ended)

        tally = filling.run(seen)
    if tally.failed:
        raise WaveError(f"{len(tally.failed)} waves of the history failed, the first is {tally.failed[0]!r}.")


def train(runtime: Runtime, script: Script, console: Console) -> None:
    """Run one training wave: a model for each airport."""
    with console.status("training a model for each airport"):
        began = time.monotonic()
        wave = submit_wave(delays.training, script.history[-1], runtime=runtime)
        ended_well(wave.wait(TRAINING_LIMIT))
    manifests = [wave.result("delay_model", key) for key in sorted(wave.statuses("delay_model"))]
    show.models(console, manifests, time.monotonic() - began)


def run_day(runtime: Runtime, script: Script, truth: Truth, console: Console, check: Check) -> Day:
    """Run a wave an hour, and after each ask for the hour that follows."""
    day = Day(script.served, truth.entities, *truth.at(script.served), truth.rivals(script.served))
    store, version = runtime.store, runtime.settings.version
    read = partial(read_forecasts, "delay_forecast", store=store, version=version)
    with show.day_table(console, day, script) as add:
        for hour, date in enumerate(script.issues):
            check()
            wave = submit_wave(delays.delays, date, runtime=runtime).wait(WAVE_LIMIT)
            day.serve(hour, read(truth.entities, script.served[hour]))
            add(hour, wave.progress())
    return day


def ended_well(wave: Wave) -> None:
    """Raise WaveError, with the first error's text, unless everything in a wave finished."""
    for task, errors in wave.errors().items():
        entity, text = next(iter(errors.items()))
        raise WaveError(f"{wave.id}: {task} of {entity}: {text}")


def forget(runtime: Runtime, version: str) -> None:
    """Remove what the demo wrote to a Redis that is not its own; what the state holds stays."""
    try:
        ids = runtime.records.ids(version)
        for wave_id in ids:
            Wave.find(wave_id, runtime).cancel()
        keys = list(runtime.client.scan_iter(match=f"*{version}*", count=10_000))
        for start in range(0, len(keys), 1000):
            runtime.client.unlink(*keys[start : start + 1000])
        if ids:
            runtime.client.zrem(WAVES, *ids)
    except (PipelineError, RedisError):
        return  # it is gone, and what lies there ends with its time to live
