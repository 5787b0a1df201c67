"""Reading what a task needs: the inputs of all its entities, at once.

Inputs that this wave makes are read from the wave's own version only. All others, and a window's past hours, are
read from the own version and, where that has none, from the base version.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.errors import RunError
from pipeline.flows.pipe import ONE_HOUR
from pipeline.flows.task import Task
from pipeline.gate.units import ALL
from pipeline.store import Store

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class Source:
    """Where one run reads from."""

    store: Store
    version: str
    base: str | None
    date: datetime
    tasks: Mapping[str, Task]  # of the flow, by name
    made_here: frozenset[str]  # the pipes that this wave makes itself

    def values(self, pipe: str, keys: Sequence[str]) -> dict[str, Any]:
        """Return this hour's values of those keys that have one."""
        base = None if pipe in self.made_here else self.base
        return self.store.get(self.version, pipe, self.date, keys, base=base)

    def window(self, pipe: str, hours: int, keys: Sequence[str]) -> np.ndarray:
        """Return the last hours as an array (hours, keys), this hour last; NaN where there is none."""
        return self.store.window(
            self.version, pipe, self.date, hours, keys, base=self.base, own_last=pipe in self.made_here
        )

    def frame(self, pipe: str, hours: int, keys: Sequence[str]) -> pd.DataFrame:
        """Return the last hours as a DataFrame (hours x keys), UTC hours as its index, oldest first."""
        return frame(self.window(pipe, hours, keys), self.date, keys)

    def scope_key(self, pipe: str, partition: str | None) -> str | None:
        """Return the key of a pipe that a scope has one of, None for pipes that each entity has one of."""
        made_by = self.tasks[pipe]
        if made_by.per is None or made_by.batch:
            return None
        return ALL if made_by.per == "wave" else f"@{partition}"


def frame(values: np.ndarray, date: datetime, keys: Sequence[str]) -> pd.DataFrame:
    """Put a window into a DataFrame without copying it."""
    try:
        import pandas as pd  # noqa: PLC0415 - costs 0.3 s and 60 MB, which workers without windows do not pay
    except ImportError:
        raise RunError("a window needs pandas. Install it: pip install 'celery-waves[arrow]'.") from None
    index = pd.date_range(end=pd.Timestamp(date), periods=len(values), freq=ONE_HOUR, name="ds")
    return pd.DataFrame(
        values, index=index, columns=pd.Index([str(k) for k in keys], name="unique_id"), copy=False
    )


@dataclass(frozen=True, slots=True)
class Read:
    """The inputs of some entities of one shard."""

    columns: Mapping[str, Mapping[str, Any]]  # input -> key -> value, for those who have one
    windows: Mapping[str, np.ndarray]  # windowed input -> (hours, entities)
    single: Mapping[str, Any]  # input that a scope has one of -> value
    absent: Mapping[str, list[str]]  # key -> required inputs that are missing
    gaps: Mapping[str, list[str]]  # optional input -> keys that go without it


def read(task: Task, source: Source, keys: Sequence[str], partition: str | None) -> Read:
    """Read all inputs of a task for the entities of a shard."""
    columns: dict[str, Mapping[str, Any]] = {}
    windows: dict[str, np.ndarray] = {}
    single: dict[str, Any] = {}
    absent: dict[str, list[str]] = {}
    gaps: dict[str, list[str]] = {}
    for pipe in task.inputs:
        scope = source.scope_key(pipe, partition)
        missing: Sequence[str]
        if pipe in task.window:
            windows[pipe] = source.window(pipe, task.window[pipe], keys)
            missing = [keys[i] for i in np.flatnonzero(np.isnan(windows[pipe][-1])).tolist()]
        elif scope is not None:
            single.update((pipe, value) for value in source.values(pipe, [scope]).values())
            missing = [] if pipe in single else keys
        else:
            columns[pipe] = source.values(pipe, keys)
            missing = [] if len(columns[pipe]) == len(keys) else [k for k in keys if k not in columns[pipe]]
        if pipe in task.optional:
            gaps[pipe] = list(missing)
        else:
            for key in missing:
                absent.setdefault(key, []).append(pipe)
    return Read(columns, windows, single, absent, gaps)


def column(
    task: Task, pipe: str, found: Read, keys: Sequence[str], positions: Sequence[int], date: datetime
) -> list[Any]:
    """Return one input of a task that is called for each entity, as a list in the order of the keys.

    `positions` are the keys' places in the windows.
    """
    if pipe in found.windows:
        return _series(task, pipe, found.windows[pipe], keys, positions, date)
    default = task.optional.get(pipe)
    if pipe in found.columns:
        get = found.columns[pipe].get
        return [get(key, default) for key in keys]
    return [found.single.get(pipe, default)] * len(keys)


def _series(
    task: Task, pipe: str, window: np.ndarray, keys: Sequence[str], positions: Sequence[int], date: datetime
) -> list[Any]:
    table = frame(window[:, positions], date, keys)
    columns = [table.iloc[:, i] for i in range(len(keys))]
    if pipe not in task.optional:
        return columns
    return [task.optional[pipe] if c.isna().all() else c for c in columns]


def batch_input(
    task: Task, pipe: str, found: Read, keys: Sequence[str], positions: Sequence[int], date: datetime
) -> Any:
    """Return one input of a batch task: a mapping, a DataFrame or the single value of a scope."""
    if pipe in found.windows:
        return frame(found.windows[pipe][:, positions], date, keys)
    if pipe in found.columns:
        present = found.columns[pipe]
        return {key: present[key] for key in keys if key in present}
    return found.single.get(pipe, task.optional.get(pipe))


class Chunks:
    """One input of a partition- or wave-scoped task: a chunk a shard, read when it is asked for.

    A chunk is a mapping entity -> value, or a DataFrame (hours x entities) for a window. All inputs of a task have
    their chunks in the same order, so that they can be zipped; each can be gone through again.
    """

    def __init__(self, shards: Sequence[Sequence[str]], load: Callable[[Sequence[str]], Any]) -> None:
        self._shards = shards
        self._load = load

    def __iter__(self) -> Iterator[Any]:
        return (self._load(keys) for keys in self._shards)

    def __len__(self) -> int:
        return len(self._shards)


def scoped_input(
    task: Task, pipe: str, source: Source, partition: str | None, shards: Sequence[tuple[str, Sequence[str]]]
) -> Any:
    """Return one input of a scoped task: chunks, or the single value of a scope (its default when it is missing).

    `shards` are the scope's, as (partition, keys). A wave-scoped task that reads one pipe a partition gets one
    chunk {"@partition": value}. Raises LookupError with the pipe's name when a required single value is missing.
    """
    made_by = source.tasks[pipe]
    entity_keys = [keys for _, keys in shards]
    if pipe in task.window:
        return Chunks(entity_keys, lambda keys: source.frame(pipe, task.window[pipe], keys))
    if made_by.per is None or made_by.batch:
        return Chunks(entity_keys, lambda keys: source.values(pipe, keys))
    if made_by.per == "partition" and partition is None:
        scopes = list(dict.fromkeys(f"@{name}" for name, _ in shards))
        return Chunks([scopes], lambda keys: source.values(pipe, keys))
    key = source.scope_key(pipe, partition) or ALL
    found = source.values(pipe, [key])
    if key not in found and pipe not in task.optional:
        raise LookupError(pipe)
    return found.get(key, task.optional.get(pipe))
