"""Store: what every pipe store does. What differs between them is the handful of methods at its end."""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

import numpy as np

from pipeline.errors import CodecError, WindowError
from pipeline.flows.pipe import PipeKey, check_version, floor, hour, stamp
from pipeline.store import codec, series
from pipeline.store.codec import Encoded
from pipeline.store.windows import SLICE, read_window

L = TypeVar("L")

DAY = 86400.0


class Store(ABC):
    """Keeps pipes, written once, and the series of those that are numbers.

    Dates are aware datetimes on the hour, or texts as `hour` reads them. `base` is a second version, read for what
    `version` does not have. Methods raise KeyFormatError for a date or version that no key can hold.

    Args:
        min_ttl: Seconds that a pipe is kept at least, however old its date.
        max_value: Bytes that one encoded value may take.
        clock: Returns the time in seconds since 1970; that of a store on Redis is by default that Redis' own.

    Example:
        >>> store: Store = MemoryStore(min_ttl=3600)
        >>> for date, delay in [("2013-06-25T12", 8.0), ("2013-06-25T13", 12.5)]:
        ...     refused = store.put("main", "delay", date, {"JFK-LAX": delay}, ttl=86400)
        >>> store.window("main", "delay", "2013-06-25T13", 3, ["JFK-LAX"]).tolist()
        [[nan], [8.0], [12.5]]
    """

    def __init__(
        self,
        *,
        min_ttl: float = DAY,
        max_value: int = codec.MAX_BYTES,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.min_ttl = min_ttl
        self.max_value = max_value
        self.clock = clock

    def present(self) -> datetime:
        """Return the present hour (UTC), by the store's clock."""
        return floor(datetime.fromtimestamp(self.clock(), UTC))

    # -- writing

    def encode(self, values: Mapping[str, Any]) -> tuple[Encoded, dict[str, CodecError]]:
        """Encode entity -> value for `put_encoded`; return with it entity -> error for those that no codec takes."""
        return codec.encode_many(values, self.max_value)

    def put(
        self,
        version: str,
        pipe: str,
        date: datetime | str,
        values: Mapping[str, Any],
        ttl: float,
        series_ttl: float | None = None,
    ) -> set[str]:
        """Write one pipe an entity; return the entities whose pipe was there already and keeps its value.

        Args:
            values: Entity -> what a pipe holds: plain values as JSON has them, bytes, a pandas DataFrame or Series.
            ttl: Seconds from their date that pipes live.
            series_ttl: Seconds from the end of its period that a series of numbers lives; at least `ttl`.

        Raises:
            CodecError: A value cannot be stored; it names the pipe, and none is written.
        """
        encoded, errors = self.encode(values)
        for entity, error in errors.items():
            raise CodecError(f"{PipeKey(version, pipe, entity, hour(date))}: {error}")
        return self.put_encoded(version, pipe, date, encoded, ttl, series_ttl)

    def put_encoded(
        self,
        version: str,
        pipe: str,
        date: datetime | str,
        encoded: Encoded,
        ttl: float,
        series_ttl: float | None = None,
    ) -> set[str]:
        """Do the same with values that are encoded already.

        Where a pipe was there already, what it holds is what goes into the series: a run that died between the two is
        so repaired by the next one.
        """
        date, prefix = hour(date), _prefix(version, pipe)
        tail = f" {stamp(date)}"
        keys = [f"{prefix}{entity}{tail}" for entity in encoded.entities]
        added = self._add(keys, encoded.blobs, self._expiry(date.timestamp() + ttl))
        refused = {entity for entity, new in zip(encoded.entities, added, strict=True) if not new}
        numbers = dict(zip(encoded.entities, encoded.numbers, strict=False))
        if refused and numbers:
            again = [entity for entity in numbers if entity in refused]
            stored = self._load([f"{prefix}{entity}{tail}" for entity in again], again)
            numbers = {e: n for e, n in numbers.items() if e not in refused} | _numbers(stored)
        self._put_numbers(prefix, date, numbers, max(ttl, series_ttl or 0))
        return refused

    def standing(
        self,
        version: str,
        pipe: str,
        date: datetime | str,
        entities: Sequence[str],
        ttl: float = 0.0,
        series_ttl: float = 0.0,
    ) -> set[str]:
        """Return those entities whose pipe stands in that version, whoever put it, be it readable or not.

        Those that are numbers are put into their series again, as by `put`, for whoever put them may have died before.
        """
        date, prefix = hour(date), _prefix(version, pipe)
        tail = f" {stamp(date)}"
        blobs = self._read([f"{prefix}{entity}{tail}" for entity in entities])
        found = {e: blob for e, blob in zip(entities, blobs, strict=True) if blob is not None}
        numbers = {e: n for e, blob in found.items() if (n := codec.number_in(blob)) is not None}
        self._put_numbers(prefix, date, numbers, max(ttl, series_ttl))
        return set(found)

    def _put_numbers(self, prefix: str, date: datetime, numbers: Mapping[str, float], ttl: float) -> None:
        """Write one slot an entity; the series live for `ttl` seconds from the end of their period."""
        if not numbers:
            return
        (span,) = series.spans(date, 1)
        tail = span.tail
        keys = [f"{prefix}{entity}{tail}" for entity in numbers]
        slots = list(series.cut(series.pack(list(numbers.values()))))
        self._write_slots(keys, span.offset, slots, self._expiry(span.ends + ttl))

    # -- reading

    def get(
        self, version: str, pipe: str, date: datetime | str, entities: Sequence[str], base: str | None = None
    ) -> dict[str, Any]:
        """Return entity -> value for those entities that have the pipe."""
        tail = f" {stamp(hour(date))}"
        return self._first(version, base, pipe, entities, lambda prefix, entity: f"{prefix}{entity}{tail}")

    def get_grid(
        self,
        version: str,
        pipe: str,
        dates: Sequence[datetime],
        entities: Sequence[str],
        base: str | None = None,
    ) -> dict[tuple[str, datetime], Any]:
        """Return (entity, date) -> value for those pairs that have the pipe."""
        tails = {date: f" {stamp(date)}" for date in map(hour, dates)}
        pairs = [(entity, date) for date in tails for entity in entities]
        return self._first(
            version, base, pipe, pairs, lambda prefix, pair: f"{prefix}{pair[0]}{tails[pair[1]]}"
        )

    def window(
        self,
        version: str,
        pipe: str,
        end: datetime | str,
        hours: int,
        entities: Sequence[str],
        base: str | None = None,
        own_last: bool = False,
    ) -> series.Floats:
        """Read the numbers of some hours.

        Args:
            end: The last one.
            hours: How many, up to and including `end`.
            base: The version that fills the slots that `version` does not have.
            own_last: Whether those of `end` are not filled.

        Returns:
            An array (hours, entities) of float64, the oldest hour first, NaN where there is none.

        Raises:
            WindowError: The pipe turns out to hold no numbers, or `hours` is below 1.
        """
        end = hour(end)
        if hours < 1:
            raise WindowError(f"a window of {pipe!r} over {hours} hours holds nothing. Ask for 1 or more.")
        prefixes = [_prefix(each, pipe) for each in dict.fromkeys((version, base)) if each is not None]
        window = read_window(self._read_slots, prefixes, end, hours, entities, own_last)
        if len(entities) and np.isnan(window[-1]).all() and np.isnan(window).all():
            self._check_numeric(version, base, pipe, end, entities)
        return window

    # -- what the parts above are made of

    def _expiry(self, wanted: float) -> int:
        """Return when a key is to go, in seconds since 1970: not before the minimum time to live is over."""
        return math.ceil(max(wanted, self.clock() + self.min_ttl))

    def _first(
        self,
        version: str,
        base: str | None,
        pipe: str,
        labels: Sequence[L],
        key: Callable[[str, L], str],
    ) -> dict[L, Any]:
        """Read each label's pipe from `version`, and those that it has not from `base`."""
        prefix = _prefix(version, pipe)
        found = self._load([key(prefix, label) for label in labels], labels)
        if base is not None and base != version:
            prefix = _prefix(base, pipe)
            missing = [label for label in labels if label not in found]
            found |= self._load([key(prefix, label) for label in missing], missing)
        return found

    def _load(self, keys: Sequence[str], labels: Sequence[L]) -> dict[L, Any]:
        """Read and decode; return label -> value for the keys that exist."""
        blobs = self._read(keys)
        there = [label for label, blob in zip(labels, blobs, strict=True) if blob is not None]
        try:
            values = codec.decode_many([blob for blob in blobs if blob is not None])
        except CodecError:
            for key, blob in zip(keys, blobs, strict=True):
                _decode(key, blob)
            raise
        return dict(zip(there, values, strict=True))

    def _check_numeric(
        self, version: str, base: str | None, pipe: str, end: datetime, entities: Sequence[str]
    ) -> None:
        """Raise WindowError where a window is empty because its pipe holds something else than numbers."""
        for entity, value in self.get(version, pipe, end, entities[:SLICE], base).items():
            if not codec.is_numeric(value):
                raise WindowError(
                    f"a window of {pipe!r} was asked for, but the pipe of {entity!r} at {stamp(end)} is of "
                    f"type {type(value).__name__}. Windows are made of numbers: let {pipe!r} return one."
                )

    # -- what each store does in its own way

    @abstractmethod
    def raw(self, key: str) -> bytes | None:
        """Return the bytes under a key, a pipe's or a series', None when there is none."""

    @abstractmethod
    def ttl(self, key: str) -> float | None:
        """Return the seconds that a key has to live, None when there is none."""

    @abstractmethod
    def _add(self, keys: Sequence[str], blobs: Sequence[bytes], expires: int) -> list[bool]:
        """Write each blob whose key does not exist, to go at `expires`; return for each whether it was written."""

    @abstractmethod
    def _read(self, keys: Sequence[str]) -> list[bytes | None]:
        """Read the blobs of some keys."""

    @abstractmethod
    def _write_slots(self, keys: Sequence[str], offset: int, slots: Sequence[bytes], expires: int) -> None:
        """Write slots at an offset into a series each, which then lives until `expires` or longer."""

    @abstractmethod
    def _read_slots(
        self, prefix: str, entities: Sequence[str], spans: Sequence[series.Span], rows: series.Bits
    ) -> None:
        """Fill a row an entity with the slots of some spans, one span after the other."""


def _prefix(version: str, pipe: str) -> str:
    return f"{check_version(version)}/{pipe} "


def _numbers(values: Mapping[L, Any]) -> dict[L, float]:
    return {label: value for label, value in values.items() if codec.is_numeric(value)}


def _decode(key: str, blob: bytes | None) -> None:
    """Name the key whose bytes cannot be read."""
    try:
        codec.decode(blob or b"null")
    except CodecError as error:
        raise CodecError(f"{key}: {error}") from None
