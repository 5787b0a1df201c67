"""Flow: tasks by name, their edges checked when the flow is made.

A flow is a directed acyclic graph: its nodes are tasks, its edges are the pipes that they read by parameter name.
"""

from __future__ import annotations

import graphlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from pipeline import durations
from pipeline.cron import Cron
from pipeline.durations import Duration
from pipeline.errors import DurationError, FlowError, near
from pipeline.state import State
from pipeline.task import Task

DEFAULT_TIMEOUT = 600.0  # seconds
TIMEOUT_STEP = 60.0  # by how much a default timeout is later than the latest of its inputs'

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


@dataclass(frozen=True, eq=False, init=False)
class Flow:
    """A named graph of tasks, the state it is run over and when."""

    name: str
    tasks: Mapping[str, Task]  # by name, in an order in which each comes after its inputs
    state: State | None  # whose entities it is run for; None: given at submission
    schedule: str | None  # five cron fields, UTC
    expiry: float | None  # seconds from a wave's submission to its closing; None: one period of the schedule
    timeouts: Mapping[str, float] = field(repr=False)  # task -> seconds, for those with inputs

    def __init__(
        self,
        name: str,
        tasks: Iterable[Task],
        state: State | str | None = None,
        schedule: str | None = None,
        expiry: Duration | None = None,
    ) -> None:
        """Check the graph and put it in order. Raises FlowError, which names the flow and the tasks."""
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise FlowError(
                f"flow name {name!r}: use letters, digits and . _ - (it is part of the wave's name)."
            )
        if isinstance(tasks, str | Task) or not isinstance(tasks, Iterable):
            raise FlowError(
                f"flow {name!r}: {tasks!r} is no list of tasks. Give one: Flow({name!r}, [task, ...])."
            )
        if not isinstance(state, State | str | None):
            raise FlowError(f"flow {name!r}: state={state!r} is no State. Give one, or the name of one.")
        by_name = _by_name(name, tasks)
        _check_inputs(name, by_name)
        ordered = _ordered(name, by_name)
        values = {
            "name": name,
            "tasks": MappingProxyType(ordered),
            "state": State(state) if isinstance(state, str) else state,
            "schedule": _check_schedule(name, schedule),
            "expiry": None if expiry is None else durations.seconds(expiry, f"flow {name!r}: expiry"),
            "timeouts": MappingProxyType(_timeouts(name, ordered)),
        }
        for key, value in values.items():
            object.__setattr__(self, key, value)

    def __repr__(self) -> str:
        return f"Flow({self.name!r}, [{', '.join(self.tasks)}])"

    def task(self, name: str) -> Task:
        """Give the task of that name. Raises FlowError with the near ones."""
        if name not in self.tasks:
            raise FlowError(
                f"flow {self.name!r} has no task {name!r}.{near(name, self.tasks)} It has: {', '.join(self.tasks)}."
            )
        return self.tasks[name]

    def keep(self, name: str) -> float:
        """Give the seconds that a pipe's past is kept for windows: the task's ttl, or the longest window over it."""
        windows = [t.window[name] * durations.HOUR for t in self.tasks.values() if name in t.window]
        return max([self.tasks[name].ttl, *windows])


def _by_name(flow: str, tasks: Iterable[Task]) -> dict[str, Task]:
    found: dict[str, Task] = {}
    for item in tasks:
        if not isinstance(item, Task):
            raise FlowError(f"flow {flow!r}: {item!r} is no task. Put @task above the function.")
        if item.name in found and found[item.name] is not item:
            raise FlowError(
                f"flow {flow!r} has two tasks named {item.name!r}, and a pipe has one maker. "
                "Rename one: @task(name=...)."
            )
        if item.name in found:
            raise FlowError(f"flow {flow!r} names the task {item.name!r} twice. Name it once.")
        found[item.name] = item
    if not found:
        raise FlowError(f"flow {flow!r} has no tasks. Give it at least one.")
    return found


def _check_inputs(flow: str, tasks: Mapping[str, Task]) -> None:
    for item in tasks.values():
        for pipe in item.inputs:
            if pipe not in tasks:
                raise FlowError(
                    f"flow {flow!r}: task {item.name!r} reads {pipe!r}, which no task of the flow makes."
                    f"{near(pipe, tasks)} Add the task to the flow, or rename the parameter."
                )
        for pipe in item.window:
            if tasks[pipe].per and not tasks[pipe].batch:
                raise FlowError(
                    f"flow {flow!r}: task {item.name!r} has a window over {pipe!r}, which holds one pipe "
                    f"a {tasks[pipe].per}, not one an entity. Read it without a window."
                )


def _ordered(flow: str, tasks: Mapping[str, Task]) -> dict[str, Task]:
    """Order the tasks so that each comes after its inputs; among equals as they were named."""
    sorter = graphlib.TopologicalSorter({name: item.inputs for name, item in tasks.items()})
    try:
        sorter.prepare()
    except graphlib.CycleError as error:
        path = " -> ".join(error.args[1])
        raise FlowError(
            f"flow {flow!r} has a cycle: {path}. A task cannot wait for its own output; remove one of these inputs."
        ) from None
    order: list[str] = []
    while sorter.is_active():
        ready = sorted(sorter.get_ready(), key=list(tasks).index)
        order += ready
        sorter.done(*ready)
    return {name: tasks[name] for name in order}


def _timeouts(flow: str, tasks: Mapping[str, Task]) -> dict[str, float]:
    result: dict[str, float] = {}
    for item in tasks.values():
        if item.collects:
            continue
        latest = max(((result.get(pipe, 0.0), pipe) for pipe in item.inputs), default=(0.0, ""))
        if item.timeout is None:
            result[item.name] = max(DEFAULT_TIMEOUT, latest[0] + TIMEOUT_STEP if latest[0] else 0.0)
            continue
        if item.timeout <= latest[0]:
            raise FlowError(
                f"flow {flow!r}: task {item.name!r} gives up waiting after {durations.text(item.timeout)}, but its "
                f"input {latest[1]!r} may itself wait for {durations.text(latest[0])}. Make the timeout of "
                f"{item.name!r} longer, or give {latest[1]!r} a shorter one."
            )
        result[item.name] = item.timeout
    return result


def _check_schedule(flow: str, schedule: str | None) -> str | None:
    if schedule is None:
        return None
    try:
        return Cron.parse(schedule).line
    except DurationError as error:
        raise FlowError(f"flow {flow!r}: {error}") from None
