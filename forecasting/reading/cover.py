"""Cover: for how many hours from now each entity still has a forecast, should no further wave succeed."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from forecasting.models.columns import MEAN
from forecasting.reading.forecast_store import SAMPLE, Issues, Stored
from pipeline.app import settings
from pipeline.flows.pipe import ONE_HOUR, hour
from pipeline.store import Store
from pipeline.waves.runtime import process_runtime


@dataclass(frozen=True, slots=True)
class Cover:
    """The cover of some entities by one forecast pipe.

    Args:
        pipe: The name of the task that makes the forecasts.
        now: The hour from which it is counted, UTC.
        hours: Entity -> hours until its newest forecast runs out; 0 where it has, or never was.
    """

    pipe: str
    now: datetime
    hours: Mapping[str, int]

    @property
    def least(self) -> int:
        """The hours of the entity that is worst off."""
        return self._share(0.0)

    @property
    def p5(self) -> int:
        """The hours that one entity in twenty does not have more than."""
        return self._share(0.05)

    @property
    def median(self) -> int:
        """The hours that half of the entities do not have more than."""
        return self._share(0.5)

    @property
    def out(self) -> int:
        """How many entities no stored forecast covers any more."""
        return sum(hours == 0 for hours in self.hours.values())

    def _share(self, share: float) -> int:
        ordered = sorted(self.hours.values())
        return ordered[max(math.ceil(len(ordered) * share) - 1, 0)] if ordered else 0


def cover(
    pipe: str,
    entities: Sequence[str],
    now: datetime | str | None = None,
    *,
    version: str | None = None,
    base: str | None = None,
    horizon: int | None = None,
    store: Store | None = None,
) -> Cover:
    """Return the hours from now until each entity's newest forecast runs out.

    The newest hour is read first, older ones only for who has none there.

    Args:
        pipe: The name of the task that makes the forecasts.
        entities: Their keys.
        now: The hour from which it is counted; the present one by default.
        version: Whose forecasts; PIPELINE_VERSION or the git branch by default.
        base: The version that is read where this one has none for an issue date.
        horizon: How many issue dates are looked through, as in `read_forecasts`.
        store: The pipe store; the process' own by default.
    """
    issues = Issues.of(store, pipe, version, base)
    when = issues.store.present() if now is None else hour(now)
    found = issues.newest(entities, when, horizon, lambda stored: stored.last > 0)
    return Cover(pipe, when, {key: _left(found[key], when) if key in found else 0 for key in entities})


def covers(
    pipes: Iterable[str],
    entities: Sequence[str],
    now: datetime | str | None = None,
    *,
    version: str | None = None,
    base: str | None = None,
    store: Store | None = None,
) -> dict[str, Cover]:
    """Return the cover by each of some pipes that holds forecasts; others are left out.

    What a pipe holds is seen by some of its entities: a pipe that had no forecast for a week is left out, too.

    Args:
        pipes: Names of tasks, say all of a flow.
        entities: Their keys.
        now: The hour from which it is counted; the present one by default.
        version: Whose forecasts; PIPELINE_VERSION or the git branch by default.
        base: The version that is read where this one has none for an issue date.
        store: The pipe store; the process' own by default.
    """
    store = store or process_runtime(settings).store
    when = store.present() if now is None else hour(now)
    sample = entities[:: max(len(entities) // SAMPLE, 1)][:SAMPLE]
    return {
        pipe: cover(pipe, entities, when, version=version, base=base, store=store)
        for pipe in pipes
        if Issues.of(store, pipe, version, base).newest(sample, when, None, lambda stored: stored.last > 0)
    }


def _left(stored: Stored, now: datetime) -> int:
    """Count the hours from now to the last one that the forecast has a number for."""
    mean = stored.value[MEAN]
    last = next((lead for lead in range(len(mean), 0, -1) if mean[lead - 1] is not None), 0)
    return max(last - round((now - stored.issued) / ONE_HOUR), 0)
