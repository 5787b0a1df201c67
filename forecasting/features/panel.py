"""Panel: hourly series side by side, the form in which everything here computes.

People and pipes speak the long format (`unique_id`, `ds`, `y`) or one DataFrame (hours x entities) a pipe; both
become arrays of shape (hours, entities), without a hole in the hours.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
import pandas as pd

from forecasting.errors import DataError

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

HOUR = pd.Timedelta(hours=1)
LARGEST = 1e100  # of a value; what is beyond counts as missing
_NOTHING: Mapping[str, Floats] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Panel:
    """Series of the same hours. NaN is a missing value.

    Args:
        hours: UTC, one row an hour, no hole.
        entities: Their keys.
        y: What is to be forecast, (hours, entities).
        weight: How much each observation counts, (hours, entities); 0 where there is none.
        past: What else was known at each hour, (hours, entities) each.
        future: What is known of the hours after the last one, too: (hours and those after, entities) each.
        static: A number an entity, (entities,) each.

    Example:
        >>> hours = pd.date_range("2026-01-01", periods=48, freq="h", tz="UTC")
        >>> panel = Panel.from_frames(pd.DataFrame({"oslo": range(48), "lima": 7.0}, index=hours))
        >>> len(panel), panel.entities, panel.part(0, 24).y.shape
        (48, ('oslo', 'lima'), (24, 2))
    """

    hours: pd.DatetimeIndex
    entities: tuple[str, ...]
    y: Floats
    weight: Floats
    past: Mapping[str, Floats] = field(default_factory=lambda: _NOTHING)
    future: Mapping[str, Floats] = field(default_factory=lambda: _NOTHING)
    static: Mapping[str, Floats] = field(default_factory=lambda: _NOTHING)

    def __len__(self) -> int:
        return len(self.hours)

    @classmethod
    def from_frames(
        cls,
        y: pd.DataFrame,
        weight: pd.DataFrame | None = None,
        past: Mapping[str, pd.DataFrame] | None = None,
        future: Mapping[str, pd.DataFrame] | None = None,
        static: Mapping[str, pd.Series] | None = None,
    ) -> Panel:
        """Build a panel of frames (hours x entities), such as windows of pipes.

        A row that stands twice counts as its last one, rows may come in any order, and hours that lack are missing
        values, as are those that are not a finite number.

        Args:
            y: What is to be forecast.
            weight: 1 an observation by default.
            past: What else was known up to each hour.
            future: What is known of the hours after the last one, too: frames that go on after y's last hour.
            static: A number an entity, indexed by entity.

        Raises:
            DataError: An index has no time zone or is off the hour, or static values are not numbers.
        """
        table = _hourly(y)
        hours, entities = pd.DatetimeIndex(table.index), tuple(map(str, table.columns))
        values = _finite(table.to_numpy(np.float64))
        counts = np.ones_like(values) if weight is None else _like(weight, hours, y.columns)
        counts = np.where(np.isnan(values) | ~(counts > 0), 0.0, counts)
        extra = {name: _like(frame, hours, y.columns) for name, frame in (past or {}).items()}
        known = {name: _known(frame, hours, y.columns) for name, frame in (future or {}).items()}
        fixed = {name: _numbers(name, column, y.columns) for name, column in (static or {}).items()}
        return cls(
            hours,
            entities,
            values,
            counts,
            MappingProxyType(extra),
            MappingProxyType(known),
            MappingProxyType(fixed),
        )

    @classmethod
    def from_long(
        cls,
        data: pd.DataFrame,
        weight: str | None = None,
        past: Sequence[str] = (),
        future: Sequence[str] = (),
        static: Sequence[str] = (),
    ) -> Panel:
        """Build a panel of the long format.

        Args:
            data: Columns `unique_id`, `ds`, `y` and those that are named. The panel ends with the last hour in which
                any entity has a `y`.
            weight: The column of the weights.
            past: Columns of what else was known up to each hour.
            future: Columns of what is known of later hours: in the rows after an entity's last `y`, whose `y` is NaN.
            static: Columns of which an entity's last value counts.

        Raises:
            DataError: A column is missing, or hours or values are as `from_frames` refuses them.
        """
        wanted = ["unique_id", "ds", "y", *([weight] if weight else []), *past, *future, *static]
        if missing := [name for name in wanted if name not in data.columns]:
            raise DataError(
                f"the data lack {', '.join(missing)}; they have {', '.join(map(str, data.columns))}. "
                "The long format has a row an entity and hour: unique_id, ds, y."
            )
        data = data.drop_duplicates(["unique_id", "ds"], keep="last")

        def wide(name: str) -> pd.DataFrame:
            return data.pivot(index="ds", columns="unique_id", values=name)

        y = wide("y")
        if future and (seen := y.notna().any(axis=1)).any():
            y = y[y.index <= y.index[seen].max()]
        return cls.from_frames(
            y,
            wide(weight) if weight else None,
            {name: wide(name) for name in past},
            {name: wide(name) for name in future},
            {name: data.groupby("unique_id")[name].last() for name in static},
        )

    def part(self, start: int, stop: int) -> Panel:
        """Return the rows from `start` up to, without, `stop`; what is known of the hours after them stays known."""
        rows = slice(start, stop)
        past = {name: values[rows] for name, values in self.past.items()}
        future = {name: values[start:] for name, values in self.future.items()}
        return replace(
            self,
            hours=self.hours[rows],
            y=self.y[rows],
            weight=self.weight[rows],
            past=MappingProxyType(past),
            future=MappingProxyType(future),
        )

    def of(self, entities: slice) -> Panel:
        """Return some of the entities."""
        return replace(
            self,
            entities=self.entities[entities],
            y=self.y[:, entities],
            weight=self.weight[:, entities],
            past=MappingProxyType({name: values[:, entities] for name, values in self.past.items()}),
            future=MappingProxyType({name: values[:, entities] for name, values in self.future.items()}),
            static=MappingProxyType({name: values[entities] for name, values in self.static.items()}),
        )

    def begun(self) -> Panel:
        """Return it from its first observation on: hours before it tell nothing."""
        seen = np.flatnonzero((self.weight > 0).any(axis=1))
        return self.part(int(seen[0]), len(self)) if seen.size else self.part(len(self), len(self))

    def to_long(self) -> pd.DataFrame:
        """Return the observations in the long format, by entity and hour."""
        hour, entity = np.nonzero(~np.isnan(self.y))
        order = np.lexsort((hour, entity))
        hour, entity = hour[order], entity[order]
        return pd.DataFrame(
            {
                "unique_id": np.array(self.entities)[entity],
                "ds": self.hours[hour],
                "y": self.y[hour, entity],
                "weight": self.weight[hour, entity],
            }
        )


def side_by_side(chunks: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Put the chunks of a scoped task's window, a frame a shard, into one frame (hours x entities)."""
    return pd.concat(list(chunks), axis=1)


def _hourly(frame: pd.DataFrame) -> pd.DataFrame:
    """Sort the rows, keep the last of a repeated hour, put in the missing ones."""
    index = pd.DatetimeIndex(frame.index)
    if not len(index):
        raise DataError("the data have no hours. Give at least one.")
    if index.tz is None:
        raise DataError("the hours have no time zone. Make them aware: data.ds.dt.tz_localize('UTC').")
    index = index.tz_convert("UTC")
    if (index != index.floor("h")).any():
        bad = index[index != index.floor("h")][0]
        raise DataError(f"{bad.isoformat()} is not on the hour. Sum or average the data by the hour first.")
    table = frame.set_axis(index, axis=0)
    table = table[~index.duplicated(keep="last")].sort_index()
    return table.reindex(pd.date_range(table.index[0], table.index[-1], freq=HOUR))


def _like(frame: pd.DataFrame, hours: pd.DatetimeIndex, entities: pd.Index) -> Floats:
    """Return a second frame's values at the same hours and entities."""
    return _finite(_hourly(frame).reindex(index=hours, columns=entities).to_numpy(np.float64))


def _known(frame: pd.DataFrame, hours: pd.DatetimeIndex, entities: pd.Index) -> Floats:
    """Return values that go on after the last hour."""
    table = _hourly(frame)
    last = max(table.index[-1], hours[-1])
    every = pd.date_range(hours[0], last, freq=HOUR)
    return _finite(table.reindex(index=every, columns=entities).to_numpy(np.float64))


def _numbers(name: str, column: pd.Series, entities: pd.Index) -> Floats:
    try:
        return _finite(column.reindex(entities).to_numpy(np.float64))
    except (TypeError, ValueError):
        raise DataError(
            f"the static input {name!r} holds values that are not numbers. Make it numbers: one column a category "
            "with 0 and 1 (pandas.get_dummies), or codes whose order means something."
        ) from None


def _finite(values: Floats) -> Floats:
    """Put NaN for what is not a finite number, or so large that its square is none."""
    with np.errstate(invalid="ignore"):
        return np.where(np.abs(values) < LARGEST, values, np.nan)
