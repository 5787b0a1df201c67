"""Read the rows of a file, and keep what was read for the next shards."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.errors import listed, near
from tasks.errors import SourceError

if TYPE_CHECKING:
    import pandas as pd

CACHE_BYTES = 256 * 2**20  # of parsed files, in each process
# no value, in CSV
EMPTY = ("", "-", "#N/A", "<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null")
_NO_HOUR = 0


@dataclass(frozen=True, eq=False)
class Layout:
    """Which columns of a file hold what, and how to read it."""

    what: str  # its task, for messages
    format: str  # csv or parquet
    entity: str
    date: str | None  # None: all rows are about the hour that is asked for
    values: tuple[str, ...]
    date_format: str | None = None  # strptime's; None: ISO 8601
    reader: Mapping[str, Any] = field(default_factory=dict)  # arguments for pandas' reader of CSV

    @property
    def columns(self) -> list[str]:
        """The columns that are read."""
        return list(dict.fromkeys([self.entity, *([self.date] if self.date else []), *self.values]))


@dataclass(frozen=True, slots=True)
class Rows:
    """A parsed file."""

    frame: pd.DataFrame  # the columns of the values
    keys: np.ndarray  # the entity of each row, as text
    hours: Mapping[int, np.ndarray]  # seconds since 1970 -> the places of that hour's rows
    size: int  # bytes, about
    faults: Mapping[str, str] = field(default_factory=dict)  # entity -> which of its rows has no date

    def at(self, date: datetime | None, entities: Sequence[str]) -> tuple[pd.DataFrame, np.ndarray]:
        """Return the rows of some entities in an hour (None where rows have none), and the entity of each."""
        hour = _NO_HOUR if date is None else int(date.timestamp())
        places = self.hours.get(hour, np.array([], dtype=np.intp))
        wanted = {str(key) for key in entities}
        places = places[np.fromiter((key in wanted for key in self.keys[places]), bool, len(places))]
        return self.frame.iloc[places], self.keys[places]


def load(path: str, layout: Layout) -> Rows:
    """Return the rows of a file, from memory when it did not change since they were read.

    Raises FileNotFoundError when there is no file, and SourceError when it cannot be read.
    """
    stamp = _stamp(path, layout)
    with _cache.lock:
        found = _cache.get((path, layout), stamp)
        if found is None:
            found = _parse(path, layout)
            _cache.put((path, layout), stamp, found)
        return found


def _stamp(path: str, layout: Layout) -> tuple[int, int, int]:
    try:
        stat = os.stat(path)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise SourceError(f"{layout.what}: {path} cannot be opened: {error.strerror}.") from None
    return stat.st_mtime_ns, stat.st_size, stat.st_ino


def _parse(path: str, layout: Layout) -> Rows:
    frame = _read(path, layout)
    keys = _keys(frame[layout.entity])
    faults: dict[str, str] = {}
    everything = {_NO_HOUR: np.arange(len(keys))}
    hours = _hours(path, frame[layout.date], layout, keys, faults) if layout.date else everything
    size = int(frame.memory_usage(deep=True).sum()) + 80 * len(keys)
    return Rows(frame[list(layout.values)], keys, hours, size, faults)


def _read(path: str, layout: Layout) -> pd.DataFrame:
    import pandas as pd  # noqa: PLC0415 - costs 0.5 s and 60 MB, which beat and the command do not pay

    read = _read_csv if layout.format == "csv" else _read_parquet
    try:
        frame, have = read(path, layout)
    except (OSError, ValueError, pd.errors.ParserError) as error:  # Arrow's and Unicode's are ValueErrors
        raise SourceError(
            f"{layout.what}: {path} cannot be read as {layout.format}: {_reason(error)}."
        ) from None
    for name in layout.columns:
        if name not in have:
            raise SourceError(
                f"{layout.what}: {path} has no column {name!r}.{near(name, have)} It has: {listed(have)}."
            )
    return frame


def _read_csv(path: str, layout: Layout) -> tuple[pd.DataFrame, list[str]]:
    """Read the columns that are wanted, and return the names of those that there are."""
    import pandas as pd  # noqa: PLC0415 - as above

    wanted, reader = set(layout.columns), dict(layout.reader)
    # Keys are texts: 007 is no 7, and NA may be a key.
    ours = {
        "usecols": lambda name: name in wanted,
        "dtype": {layout.entity: str},
        "keep_default_na": False,
        "na_values": {name: EMPTY for name in layout.columns if name != layout.entity},
    }
    frame = pd.read_csv(path, **{**ours, **reader})
    if wanted <= {*frame.columns}:
        return frame, layout.columns
    return frame, [str(name) for name in pd.read_csv(path, nrows=0, **reader).columns]


def _read_parquet(path: str, layout: Layout) -> tuple[pd.DataFrame, list[str]]:
    from pyarrow.parquet import ParquetFile  # noqa: PLC0415 - as above

    with ParquetFile(path) as file:
        have = list(file.schema_arrow.names)
        # Without pandas' own notes every column is a column, also what was an index.
        frame = file.read([name for name in layout.columns if name in have]).to_pandas(ignore_metadata=True)
    return frame, have


def _reason(error: Exception) -> str:
    text = getattr(error, "strerror", None) or str(error)
    return str(text).strip().splitlines()[0][:300].rstrip(".") if str(text).strip() else type(error).__name__


def _keys(column: pd.Series) -> np.ndarray:
    """Return the entity of each row as text, "" where there is none."""
    if column.dtype.kind == "f" and (column.dropna() % 1 == 0).all():
        column = column.astype("Int64")  # whole numbers with gaps are floats to pandas
    texts = column.astype(object).where(column.notna(), "")
    return np.array([str(key) for key in texts], dtype=object)


def _hours(
    path: str, column: pd.Series, layout: Layout, keys: np.ndarray, faults: dict[str, str]
) -> dict[int, np.ndarray]:
    """Group the places of the rows by hour. A time without a zone is UTC.

    Whose rows have what is not a date is noted in `faults`; where all have, it is a SourceError.
    """
    import pandas as pd  # noqa: PLC0415 - as above

    where = f"{layout.what}: the column {layout.date!r} of {path}"
    if column.dtype.kind in "iuf":
        if layout.date_format is None and len(column):
            raise SourceError(
                f"{where} holds numbers such as {column.iloc[0]}, and a date is a text or a timestamp. Say how they "
                "are written: date_format='%Y%m%d%H'."
            )
        column = column.astype("Int64").astype("string")
    form = layout.date_format or "ISO8601"
    try:
        when = pd.to_datetime(column, utc=True, format=form)
    except (ValueError, TypeError) as error:
        text = (
            f"{where} holds what is not a date: {_reason(error)}. Say how dates are written: "
            "date_format='%d.%m.%Y %H:%M'."
        )
        when = pd.to_datetime(column, utc=True, format=form, errors="coerce")
        if not when.notna().any():
            raise SourceError(text) from None
        for place in np.flatnonzero(when.isna() & column.notna()):
            faults.setdefault(
                keys[place],
                f"{where} holds what is not a date in row {place + 1}, of {keys[place]!r}: "
                f"{str(column.iloc[place])[:80]!r}.",
            )
    present = np.flatnonzero(when.notna())
    seconds = when.dt.tz_localize(None).to_numpy().astype("datetime64[s]").astype(np.int64)[present]
    hours, first = np.unique(seconds // 3600 * 3600, return_inverse=True)
    order = np.argsort(first, kind="stable")
    cuts = np.searchsorted(first[order], np.arange(1, len(hours)))
    return dict(zip(hours.tolist(), np.split(present[order], cuts), strict=True)) if len(hours) else {}


class _Cache:
    """The files that were read last, as many as fit."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self._held: OrderedDict[Any, tuple[Any, Rows]] = OrderedDict()

    def get(self, key: Any, stamp: Any) -> Rows | None:
        if key not in self._held or self._held[key][0] != stamp:
            return None
        self._held.move_to_end(key)
        return self._held[key][1]

    def put(self, key: Any, stamp: Any, rows: Rows) -> None:
        self._held.pop(key, None)
        self._held[key] = (stamp, rows)
        while self._held and sum(held.size for _, held in self._held.values()) > CACHE_BYTES:
            self._held.popitem(last=False)


_cache = _Cache()


def _after_fork() -> None:
    # The lock may have been held by a thread that this process does not have.
    global _cache
    _cache = _Cache()


os.register_at_fork(after_in_child=_after_fork)
