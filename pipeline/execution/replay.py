"""Run a flow for one entity in this process, against stored pipes: for debugging.

Nothing is claimed, reported or, unless asked for, written. There is no time limit, so that a debugger can stop
inside a task, and rates are not kept.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from pipeline.errors import KeyFormatError, PipelineError, UnknownName, listed, near
from pipeline.execution.current_run import during
from pipeline.execution.inputs import Source
from pipeline.execution.task_run import Work, parameters, scoped
from pipeline.flows.entity import Entity
from pipeline.flows.flow import Flow
from pipeline.flows.plan import compile_flow
from pipeline.flows.state import State
from pipeline.flows.task import Task
from pipeline.gate.units import ALL
from pipeline.states import Group, MemoryStates, Registry
from pipeline.store import MemoryStore, Store
from pipeline.store.series import Floats

FOREVER = 10 * 365 * 86400.0  # seconds; a time limit that nobody meets
Members = tuple[str, Sequence[str]]  # a partition and keys of entities in it

_SCOPES = {None: "for each entity", "partition": "once a partition", "wave": "once a wave"}


@dataclass
class Step:
    """What came of one task."""

    task: Task
    # what it was called with; empty when it was not called
    inputs: dict[str, Any] = field(default_factory=dict)
    value: Any = None
    error: BaseException | None = None
    seconds: float = 0.0
    # required inputs that another scope makes -> its scope
    scoped: dict[str, str] = field(default_factory=dict)
    saved: bool | None = None  # False: there was a pipe already, which stays; None: nothing was to be saved


@dataclass(frozen=True)
class Replay:
    """One entity, or one scope, of a flow at a date.

    entity    an entity's key; `@{partition}` or `@all` for the tasks that run once a partition or wave
    version   whose pipes are read, and written with `save`
    base      read where `version` has none
    features  the entity's, instead of what the registry holds
    """

    flow: Flow
    entity: str
    date: datetime
    store: Store
    version: str
    base: str | None = None
    registry: Registry | None = None  # of the flow's state
    features: Mapping[str, Any] | None = None
    save: bool = False

    def run(self, only: Sequence[str] | None = None) -> Iterator[Step]:
        """Run the tasks of the entity's scope, or only those named, each after its inputs.

        A task reads what this run made, and everything else from the store. Raises FlowError, UnknownName or
        KeyFormatError.
        """
        names = self._names(only)
        made = _Made(self.store, frozenset(names))
        source = Source(made, self.version, self.base, self.date, self.flow.makers, frozenset(names))
        groups, entity = self._members()
        for name in names:
            yield self._step(self.flow.tasks[name], source, made, entity, groups)

    @property
    def _per(self) -> str | None:
        if not self.entity.startswith("@"):
            return None
        return "wave" if self.entity == ALL else "partition"

    def _names(self, only: Sequence[str] | None) -> list[str]:
        chosen = compile_flow(self.flow, only).steps
        here = [name for name in chosen if self.flow.tasks[name].per == self._per]
        for name in chosen:
            if only is not None and name not in here:
                per = self.flow.tasks[name].per
                other = {None: "an entity's key", "partition": "@ and a partition's name", "wave": ALL}[per]
                raise KeyFormatError(
                    f"task {name!r} runs {_SCOPES[per]}, so it cannot run for {self.entity!r}. Give {other}."
                )
        if not here:
            raise KeyFormatError(
                f"flow {self.flow.name!r} has no task that runs {_SCOPES[self._per]}, as {self.entity!r} asks."
            )
        return here

    def _members(self) -> tuple[list[Members], Entity]:
        """Return the entities of the scope by partition, and the entity that a task gets."""
        if self._per is None:
            entity = self._one()
            return [(entity.partition_name or "", [entity])], entity
        groups = [] if self.registry is None else self.registry.snapshot()
        partition = None if self._per == "wave" else self.entity[1:]
        found: list[Members] = [(name, keys) for name, keys, _ in groups if partition in (None, name)]
        if not found:
            known = [f"@{name}" for name, _, _ in groups]
            raise UnknownName(
                f"no entities in {self.entity!r}.{near(self.entity, known)} "
                f"Partitions: {listed(known, 'none, the state is empty')}."
            )
        return found, Entity(self.entity, partition=partition)

    def _one(self) -> Entity:
        state = self.flow.state or State("entities")
        features = self.features
        if features is None:
            held = self.registry is not None and (
                state.partition_by is not None or self.entity in self.registry
            )
            features = self.registry.features(self.entity) if held and self.registry is not None else {}
        return Entity(self.entity, features, state.partition_of(self.entity, features))

    def _step(self, task: Task, source: Source, made: _Made, entity: Entity, groups: Any) -> Step:
        other = {pipe: self.flow.makers[pipe].per for pipe in task.required}
        step = Step(task, scoped={pipe: per for pipe, per in other.items() if per not in (None, self._per)})
        quiet = replace(task, fn=_noting(task, step), time_limit=FOREVER, concurrency=1)
        began = time.perf_counter()
        try:
            with during(task.name, source):
                values = self._call(quiet, source, entity, groups, step)
            step.seconds = time.perf_counter() - began
            made.put(self.version, task.name, self.date, values, task.ttl)
        except PipelineError as error:
            step.error, values = error, {}
        if self.save and values:
            keep = self.flow.keep(task.name)
            step.saved = not self.store.put(self.version, task.name, self.date, values, task.ttl, keep)
        return step

    def _call(self, task: Task, source: Source, entity: Entity, groups: Any, step: Step) -> Mapping[str, Any]:
        """Call a task, and return the pipes that it made."""
        state = self._state() if "state" in task.wants else None
        if task.per is None:
            ((_, step.value, step.error),) = Work(
                task, source, [entity], entity.partition_name, state
            ).outcomes([0])
            return {} if step.value is None else {entity: step.value}
        values, step.error = scoped(task, source, entity, groups, state)
        found = {key: value for key, value in values.items() if value is not None}
        step.value = found if task.batch else found.get(entity)
        return found

    def _state(self) -> Registry | None:
        """Return what a task that asks for `state` gets: unless all is saved, a copy."""
        if self.save or self.registry is None:
            return self.registry
        copy = MemoryStates().bind(self.registry.state)
        groups: list[Group] = self.registry.snapshot()
        copy.update({key: features.get(key, {}) for _, keys, features in groups for key in keys})
        return copy


class _Made(MemoryStore):
    """What this run made, before what is stored."""

    def __init__(self, stored: Store, made: frozenset[str]) -> None:
        super().__init__()
        self._stored = stored
        self._made = made

    def get(
        self, version: str, pipe: str, date: Any, entities: Sequence[str], base: str | None = None
    ) -> dict[str, Any]:
        """Read a pipe of this run, or a stored one."""
        if pipe in self._made:
            return super().get(version, pipe, date, entities)
        return self._stored.get(version, pipe, date, entities, base)

    def get_grid(
        self, version: str, pipe: str, dates: Any, entities: Sequence[str], base: str | None = None
    ) -> dict[tuple[str, datetime], Any]:
        """Read pipes of several dates, this run's first."""
        own = super().get_grid(version, pipe, dates, entities)
        return self._stored.get_grid(version, pipe, dates, entities, base) | own

    def window(
        self,
        version: str,
        pipe: str,
        end: Any,
        hours: int,
        entities: Sequence[str],
        base: str | None = None,
        own_last: bool = False,
    ) -> Floats:
        """Read the past as it is stored, and this hour from this run where it makes the pipe."""
        found = self._stored.window(version, pipe, end, hours, entities, base, own_last)
        if pipe in self._made:
            found[-1] = super().window(version, pipe, end, 1, entities)[0]
        return found


def _noting(task: Task, step: Step) -> Callable[..., Any]:
    """Wrap the task's function so that it notes what it is called with."""

    @functools.wraps(task.fn)
    def call(*args: Any, **kwargs: Any) -> Any:
        step.inputs = dict(zip(parameters(task), args, strict=False)) | kwargs
        return task.fn(*args, **kwargs)

    return call
