"""CSV and Parquet files: a file is read once for many entities.

    departures = table(
        "departures",
        "/data/departures/{date:%Y-%m-%d}.csv",
        value="mean_delay",
        entity="route",
        date="hour",
    )

The path may name {date}, {end} and {partition}; see `template`. A parsed file is kept in the process, up to
256 MB of files, and read again when it changed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib.util import find_spec
from os import PathLike, fspath
from typing import Any, Unpack

from pipeline.errors import MissingExtra, RunError, TaskError, listed, near
from pipeline.flows.task import Task
from tasks.errors import SourceError
from tasks.sources.declare import TaskOptions, answered, declare, one_value
from tasks.sources.template import TIMES, Template
from tasks.sources.values import plain

for _package in ("pandas", "pyarrow"):
    if find_spec(_package) is None:
        raise MissingExtra("tasks.table", _package, "tasks")

from tasks.sources.file_reader import Layout, load  # noqa: E402 - wants numpy, as pandas does

SUFFIXES = {".csv": "csv", ".tsv": "csv", ".txt": "csv", ".parquet": "parquet", ".pq": "parquet"}
PACKED = (".gz", ".bz2", ".xz", ".zst", ".zip")
AGGREGATES = ("count", "first", "last", "max", "mean", "median", "min", "sum")
_REFUSED = {
    "batch": "a file is always read for a batch.",
    "per": "a file has rows for each entity.",
    "window": "a collection task reads no pipes.",
}


def table(
    name: str,
    path: str | PathLike[str],
    value: str | Sequence[str] | Mapping[str, str],
    *,
    entity: str = "entity",
    date: str | None = None,
    date_format: str | None = None,
    aggregate: str | None = None,
    absent_ok: bool = False,
    format: str | None = None,
    reader: Mapping[str, Any] | None = None,
    **options: Unpack[TaskOptions],
) -> Task:
    """Build a collection task that reads CSV or Parquet files.

    An empty value, and an entity without a row, is no observation.

    Args:
        name: The pipe's.
        path: A local file; with fields, one a day or one a partition.
        value: The column of the value; several columns, or {name: column}, make a dictionary.
        entity: The column of the entity's key.
        date: The column of the time: rows count for the hour that it lies in. None: all rows are about the hour that is
            asked for.
        date_format: How times are written, for strptime; ISO 8601 by default. Without a zone they are UTC.
        aggregate: What becomes of several rows of an entity in an hour: "mean", "sum", "last" ...; by default an error.
        absent_ok: A file that is not there means no observation, and is no error.
        format: "csv" or "parquet"; by default the path's ending tells.
        reader: Arguments for pandas.read_csv, such as {"sep": ";"}.
        **options: Those of `@task`, but `batch`, `per` and `window`.

    Raises:
        TaskError: The declaration cannot work.
        DurationError: A length of time or the rate cannot be read.
    """
    what = f"table {name!r}"
    fields = _fields(what, value)
    if aggregate is not None and aggregate not in AGGREGATES:
        raise TaskError(
            f"{what}: aggregate={aggregate!r} is unknown.{near(aggregate, AGGREGATES)} "
            f"Use one of: {listed(AGGREGATES)}."
        )
    text = fspath(path)
    if "://" in text:
        raise TaskError(f"{what}: {text!r} is not a local path. Fetch the file first, or use http_json.")
    kind = _format(what, text, format)
    if reader and kind != "csv":
        raise TaskError(f"{what}: reader={reader!r} is for CSV, and {text!r} is {kind}. Remove it.")
    layout = Layout(
        what, kind, entity, date, tuple(dict.fromkeys(fields.values())), date_format, dict(reader or {})
    )
    asked = _Asked(
        Template(text, f"{what}: the path", allowed=(*TIMES, "partition")),
        layout,
        fields,
        isinstance(value, str),
        aggregate,
        absent_ok,
    )

    def call(entity: Sequence[str], date: datetime) -> dict[str, Any]:
        return asked.answer(entity, date)

    return declare("table", name, call, options, _REFUSED, batch=True)


@dataclass(frozen=True)
class _Asked:
    """What is asked of a file for the entities of a shard."""

    path: Template
    layout: Layout
    fields: Mapping[str, str]  # name in the value -> column
    scalar: bool
    aggregate: str | None
    absent_ok: bool

    def answer(self, entity: Sequence[str], date: datetime) -> dict[str, Any]:
        """Read the rows of some entities at an hour. Raises SourceError."""
        path = self.path.fill(entity[0], date, self._part)
        try:
            rows = load(path, self.layout)
        except FileNotFoundError:
            if self.absent_ok:
                return answered({}, entity)
            raise SourceError(
                f"{self.layout.what}: there is no file {path}. Put it there, or say absent_ok=True if that means no "
                "observation."
            ) from None
        frame, keys = rows.at(date if self.layout.date else None, entity)
        if self.aggregate:
            grouped = frame.groupby(keys, sort=False)
            frame = self._aggregated(grouped)
            keys = frame.index.to_numpy()
        found: dict[str, Any] = {}
        for key, row in zip(keys, frame.astype(object).to_dict("records"), strict=True):
            found[key] = (
                self._twice(path, key) if key in found else one_value(self.layout.what, self._value, row)
            )
        found |= {key: RunError(text) for key, text in rows.faults.items() if key not in found}
        return answered(found, entity)

    def _part(self, text: str) -> str:
        """Let a field's value name no other folder than the path does."""
        if "/" in text or text in (".", ".."):
            raise RunError(f"{self.path.what} gets {text!r} for a field, which is not part of a file's name.")
        return text

    def _aggregated(self, grouped: Any) -> Any:
        try:
            return grouped.agg(self.aggregate)
        except (TypeError, ValueError) as error:
            raise SourceError(
                f"{self.layout.what}: aggregate={self.aggregate!r} cannot be taken of "
                f"{listed(self.layout.values)}: {error}."
            ) from None

    def _value(self, row: Mapping[str, Any]) -> Any:
        value = {name: plain(row[column]) for name, column in self.fields.items()}
        return next(iter(value.values())) if self.scalar else value

    def _twice(self, path: str, key: str) -> RunError:
        return RunError(
            f"{self.layout.what}: {path} has several rows for {key!r} in this hour, and a pipe holds one value. Say "
            "what becomes of them: aggregate='mean'."
        )


def _fields(what: str, value: str | Sequence[str] | Mapping[str, str]) -> dict[str, str]:
    """Return name -> column."""
    if isinstance(value, str):
        return {value: value}
    fields = dict(value) if isinstance(value, Mapping) else {name: name for name in value}
    if not fields or not all(isinstance(name, str) for name in (*fields, *fields.values())):
        raise TaskError(
            f"{what}: value={value!r} names no columns. Write value='mean_delay' or a list of columns."
        )
    return fields


def _format(what: str, path: str, format: str | None) -> str:
    if format is None:
        ending = path
        for packed in PACKED:
            ending = ending.removesuffix(packed)
        format = SUFFIXES.get(f".{ending.rpartition('.')[2]}")
        if format is None:
            raise TaskError(
                f"{what}: the ending of {path!r} tells no format. Say it: format='csv' or 'parquet'."
            )
    if format not in SUFFIXES.values():
        raise TaskError(f"{what}: format={format!r} is unknown. Use 'csv' or 'parquet'.")
    return format
