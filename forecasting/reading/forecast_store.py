"""Stored forecasts of one pipe: looking through issue dates, newest first, in few pipelined reads."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from forecasting.models.columns import MEAN, OBSERVED
from pipeline.app import settings
from pipeline.flows.pipe import ONE_HOUR
from pipeline.store import Store
from pipeline.waves.runtime import process_runtime

HORIZON = 24  # issue dates that are looked through for every entity
FAR = 168  # hours back that some entities are looked at, where all others' newest forecast is older than that
SAMPLE = 8  # how many


@dataclass(frozen=True, slots=True)
class Stored:
    """One stored forecast."""

    issued: datetime
    version: str  # of the code that made it
    value: Mapping[str, Any]  # as `Forecasts.to_pipes` gives it

    @property
    def last(self) -> int:
        """The largest lead that it holds, in hours."""
        return len(self.value[MEAN])


Wanted = Callable[[Stored], bool]


@dataclass
class Issues:
    """The forecasts of one pipe, of a version and, where it has none for an issue date, of a base version."""

    store: Store
    pipe: str
    versions: Sequence[str]
    observed: str | None = None  # the pipe that is forecast, once a forecast was read that names it

    @classmethod
    def of(cls, store: Store | None, pipe: str, version: str | None, base: str | None) -> Issues:
        """Take the process' own store and version where none is given."""
        own = version or settings.any_version()
        versions = [own] if base in (None, own) else [own, base]
        return cls(store or process_runtime(settings).store, pipe, [name for name in versions if name])

    def newest(
        self, entities: Sequence[str], due: datetime, count: int | None, wanted: Wanted
    ) -> dict[str, Stored]:
        """Return entity -> its newest forecast, issued at `due` or before, that is wanted.

        count   issue dates that are looked through. By default 24, and where a sample of those who have none there
                shows that there are older ones, these too, up to a week.
        """
        found: dict[str, Stored] = {}
        dates = [due - back * ONE_HOUR for back in range(HORIZON if count is None else count)]
        for some in _doubling(dates):
            self._read(some, entities, wanted, found)
        missing = [entity for entity in entities if entity not in found]
        if missing and count is None:
            sample: dict[str, Stored] = {}
            older = [due - back * ONE_HOUR for back in range(HORIZON, FAR)]
            self._read(older, missing[:: max(len(missing) // SAMPLE, 1)][:SAMPLE], wanted, sample)
            for date in sorted({stored.issued for stored in sample.values()}, reverse=True):
                self._read([date], missing, wanted, found)
        return found

    def grid(self, dates: Sequence[datetime], entities: Sequence[str]) -> Iterator[tuple[str, Stored]]:
        """Yield entity and forecast for each pair that has one: one pipelined read a version."""
        pairs = [(name, self.store.get_grid(name, self.pipe, dates, entities)) for name in self.versions]
        for date in dates:
            for entity in entities:
                for version, values in pairs:
                    value = values.get((entity, date))
                    if isinstance(value, Mapping) and MEAN in value:
                        yield entity, Stored(date, version, value)

    def _read(
        self, dates: Sequence[datetime], entities: Sequence[str], wanted: Wanted, found: dict[str, Stored]
    ) -> None:
        """Add the newest of some dates, newest first, for those that have none yet."""
        missing = [entity for entity in entities if entity not in found]
        if not missing:
            return
        for entity, stored in self.grid(dates, missing):
            self.observed = self.observed or stored.value.get(OBSERVED)
            if entity not in found and wanted(stored):
                found[entity] = stored


def _doubling(dates: Sequence[datetime]) -> Iterator[Sequence[datetime]]:
    """Cut dates into one, then twice as many each time: where all went well the first is enough."""
    start, size = 0, 1
    while start < len(dates):
        yield dates[start : start + size]
        start, size = start + size, 2 * size
