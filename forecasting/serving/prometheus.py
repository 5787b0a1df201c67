"""Metrics about forecasts and models, beside those of waves: how long forecasts last, how old models are."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from prometheus_client.core import Metric

from forecasting.errors import ModelError
from forecasting.registry import Registry, process_registry
from pipeline.flows.flow import Flow
from pipeline.monitoring.cover import process_covers
from pipeline.monitoring.metrics import gauge
from pipeline.telemetry.logs import get_logger
from pipeline.waves.runtime import Runtime

SPREAD = 100  # partitions of a model that are looked at, evenly spread over them
KEPT = 60.0  # seconds that ages are kept: in a bucket each model takes two requests

log = get_logger("forecasting.exposed")


def metrics(runtime: Runtime, flows: Sequence[Flow]) -> Iterator[Metric]:
    """Yield all of them. Labels are versions, flows, pipes and stages, never entities or partitions."""
    yield from _cover(runtime, flows)
    yield from _ages(_live.known(), runtime.clock.time())


def _cover(runtime: Runtime, flows: Sequence[Flow]) -> Iterator[Metric]:
    found = process_covers(runtime, flows).known()
    labels = ("version", "flow", "pipe")
    hours = [
        (one.version, one.flow, one.pipe, *last)
        for one in found
        for last in (("min", one.least), ("p5", one.p5), ("median", one.median))
    ]
    text = "Hours until the forecasts of entities run out, should no further wave succeed: min, 5th percentile, median."
    yield gauge("waves_cover_hours", text, (*labels, "statistic"), hours)
    out = [(one.version, one.flow, one.pipe, one.out) for one in found]
    yield gauge("waves_uncovered_entities", "Entities without any forecast.", labels, out)


@dataclass(frozen=True, slots=True)
class Ages:
    """How old the live models of one pipe are."""

    pipe: str
    stage: str
    oldest: float | None  # when the oldest of them was made, in seconds since 1970; None where none is live
    without: int  # partitions that have models, and none of them live


def ages(registry: Registry) -> list[Ages]:
    """Look at the live models of the registry's stage. Raises ModelError where its place does not answer."""
    return [_age(registry, name, partitions) for name, partitions in registry.names().items()]


def _age(registry: Registry, name: str, partitions: Sequence[str]) -> Ages:
    some = partitions[:: -(-len(partitions) // SPREAD)]
    live = {partition: registry.newest(name, partition).live for partition in some}
    made = [
        datetime.fromisoformat(registry.manifest(name, partition, version).made).timestamp()
        for partition, version in live.items()
        if version is not None
    ]
    without = sum(version is None for version in live.values())
    return Ages(name, registry.settings.stage, min(made, default=None), without)


class _Live:
    """The ages as of some seconds ago, of this process' registry."""

    def __init__(self) -> None:
        self._at: float = -KEPT
        self._found: Sequence[Ages] = ()

    def known(self) -> Sequence[Ages]:
        if time.monotonic() - self._at > KEPT:
            try:
                self._found = ages(process_registry())
            except (ModelError, ValueError) as error:
                log.warning("the ages of models are not known", error=str(error))
                self._found = ()
            self._at = time.monotonic()
        return self._found


_live = _Live()


def _ages(found: Sequence[Ages], now: float) -> Iterator[Metric]:
    labels = ("pipe", "stage")
    ages = [(one.pipe, one.stage, now - one.oldest) for one in found if one.oldest is not None]
    text = "Seconds since the oldest of a pipe's live models was made, over its partitions."
    yield gauge("waves_model_age_seconds", text, labels, ages)
    without = [(one.pipe, one.stage, one.without) for one in found]
    yield gauge("waves_models_not_live", "Partitions with models of which none is live.", labels, without)
