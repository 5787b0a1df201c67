"""Flow: tasks by name, their edges checked when the flow is made.

A flow is a directed acyclic graph: its nodes are tasks, its edges are the pipes that they read by parameter name.
What another flow has stored can be read as well: `Flow("training", [model], reads=hourly)` runs `model` alone, on the
pipes that the waves of `hourly` have left.
"""

from __future__ import annotations

import graphlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from pipeline.errors import DurationError, FlowError, near
from pipeline.flows import durations
from pipeline.flows.cron import Cron
from pipeline.flows.durations import Duration
from pipeline.flows.state import State
from pipeline.flows.task import Task

DEFAULT_TIMEOUT = 600.0  # seconds
TIMEOUT_STEP = 60.0  # by how much a default timeout is later than the latest of its inputs'

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")

known: dict[str, Flow] = {}  # the newest flow of each name that this process has made


@dataclass(frozen=True, eq=False, init=False)
class Flow:
    """A named graph of tasks, the state that it is run over, and when.

    Args:
        name: Letters, digits and . _ -: it is part of the wave's name.
        tasks: In any order; inputs are found by their names.
        state: Whose entities it is run for; None: given at submission.
        schedule: Five cron fields, UTC, that name one minute of an hour: a date is an hour, and has one wave.
        expiry: From a wave's submission to its closing; one period of the schedule by default.
        reads: Flows whose stored pipes are inputs here; nothing of them is run.
        keep: {"pipe": "60d"}: how long the past of a pipe is kept for windows of such flows.

    Raises:
        FlowError: The graph cannot be run; it names the flow and the tasks.
        DurationError: A length of time cannot be read.

    Example:
        >>> @task
        ... def celsius(entity, date):
        ...     return date.hour + len(entity)
        >>> @task
        ... def feels_like(celsius):
        ...     return 0.5 * celsius
        >>> flow = Flow("weather", [feels_like, celsius], state="cities", schedule="5 * * * *")
        >>> list(flow.tasks)
        ['celsius', 'feels_like']
        >>> run_wave(flow, entities=["oslo"], date="2026-01-01T12").result("feels_like", "oslo")
        8.0
    """

    name: str
    tasks: Mapping[str, Task]  # by name, in an order in which each comes after its inputs
    state: State | None  # whose entities it is run for; None: given at submission
    schedule: str | None  # five cron fields, UTC
    expiry: float | None  # seconds from a wave's submission to its closing; None: one period of the schedule
    timeouts: Mapping[str, float] = field(repr=False)  # task -> seconds, for those with inputs
    # pipe of another flow that is read from the store -> who makes it
    reads: Mapping[str, Task] = field(repr=False)
    others: tuple[Flow, ...] = field(repr=False)  # the flows that make these
    kept: Mapping[str, float] = field(repr=False)  # pipe -> seconds that other flows want its past to be kept

    def __init__(
        self,
        name: str,
        tasks: Iterable[Task],
        state: State | str | None = None,
        schedule: str | None = None,
        expiry: Duration | None = None,
        reads: Flow | Iterable[Flow] = (),
        keep: Mapping[str, Duration] | None = None,
    ) -> None:
        """Check the graph and put it in order."""
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise FlowError(
                f"flow name {name!r}: use letters, digits and . _ - (it is part of the wave's name)."
            )
        if isinstance(tasks, str | Task) or not isinstance(tasks, Iterable):
            raise FlowError(
                f"flow {name!r}: {tasks!r} is not a list of tasks. Give one: Flow({name!r}, [task, ...])."
            )
        if not isinstance(state, State | str | None):
            raise FlowError(f"flow {name!r}: state={state!r} is not a State. Give one, or the name of one.")
        by_name = _by_name(name, tasks)
        others = _others(name, reads)
        stored = _stored(name, by_name, others)
        _check_inputs(name, by_name, stored)
        ordered = _ordered(name, by_name)
        values = {
            "name": name,
            "tasks": MappingProxyType(ordered),
            "state": State(state) if isinstance(state, str) else state,
            "schedule": _check_schedule(name, schedule),
            "expiry": None if expiry is None else durations.seconds(expiry, f"flow {name!r}: expiry"),
            "timeouts": MappingProxyType(_timeouts(name, ordered)),
            "reads": MappingProxyType(stored),
            "others": others,
            "kept": MappingProxyType(_kept(name, ordered, keep or {})),
        }
        for key, value in values.items():
            object.__setattr__(self, key, value)
        known[name] = self

    def __repr__(self) -> str:
        return f"Flow({self.name!r}, [{', '.join(self.tasks)}])"

    def task(self, name: str) -> Task:
        """Return the task of that name. Raises FlowError with the near ones."""
        if name not in self.tasks:
            raise FlowError(
                f"flow {self.name!r} has no task {name!r}.{near(name, self.tasks)} It has: {', '.join(self.tasks)}."
            )
        return self.tasks[name]

    @property
    def makers(self) -> Mapping[str, Task]:
        """The tasks behind all pipes that are read here, by name: those of this flow, and of those that it reads."""
        return {**self.reads, **self.tasks}

    def keep(self, name: str) -> float:
        """Return the seconds that a pipe's past is kept for windows: the longest over it, at least the task's ttl."""
        windows = [t.window[name] * durations.HOUR for t in self.tasks.values() if name in t.window]
        return max([self.tasks[name].ttl, self.kept.get(name, 0.0), *windows])

    def extended(self, tasks: Iterable[Task], keep: Mapping[str, Duration] | None = None) -> Flow:
        """Return this flow with more tasks, and with longer pasts of some pipes. Raises FlowError."""
        longer = {
            pipe: max(length, self.kept.get(pipe, 0.0)) for pipe, length in _lengths(self.name, keep or {})
        }
        return Flow(
            self.name,
            [*self.tasks.values(), *tasks],
            self.state,
            self.schedule,
            self.expiry,
            self.others,
            {**self.kept, **longer},
        )


def _by_name(flow: str, tasks: Iterable[Task]) -> dict[str, Task]:
    found: dict[str, Task] = {}
    for item in tasks:
        if not isinstance(item, Task):
            raise FlowError(f"flow {flow!r}: {item!r} is not a task. Put @task above the function.")
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


def _others(flow: str, reads: Flow | Iterable[Flow]) -> tuple[Flow, ...]:
    others = (reads,) if isinstance(reads, Flow) else tuple(reads)
    for other in others:
        if not isinstance(other, Flow):
            raise FlowError(
                f"flow {flow!r}: reads={other!r} is not a flow. Give the one that makes the pipes."
            )
    return others


def _stored(flow: str, tasks: Mapping[str, Task], others: Iterable[Flow]) -> dict[str, Task]:
    """Find the inputs that other flows make, and check that these keep as much of them as is read."""
    found: dict[str, Task] = {}
    for item in tasks.values():
        for pipe in item.inputs:
            makers = [other for other in others if pipe in other.tasks and pipe not in tasks]
            if len({id(other.tasks[pipe]) for other in makers}) > 1:
                raise FlowError(
                    f"flow {flow!r}: {pipe!r} is made by several of the flows that it reads, in different ways: "
                    f"{', '.join(other.name for other in makers)}. Read one of them."
                )
            for other in makers[:1]:
                found[pipe] = other.tasks[pipe]
                _check_kept(flow, item, pipe, max(other.keep(pipe) for other in makers), other.name)
    return found


def _check_kept(flow: str, item: Task, pipe: str, kept: float, other: str) -> None:
    wanted = item.window.get(pipe, 0) * durations.HOUR
    if wanted > kept:
        raise FlowError(
            f"flow {flow!r}: task {item.name!r} reads {durations.text(wanted)} of {pipe!r}, of which flow {other!r} "
            f"keeps {durations.text(kept)}. Let that one keep more: "
            f"Flow({other!r}, ..., keep={{{pipe!r}: {durations.text(wanted)!r}}})."
        )


def _check_inputs(flow: str, tasks: Mapping[str, Task], stored: Mapping[str, Task]) -> None:
    makers = {**stored, **tasks}
    for item in tasks.values():
        for pipe in item.inputs:
            if pipe not in makers:
                raise FlowError(
                    f"flow {flow!r}: task {item.name!r} reads {pipe!r}, which no task of the flow makes."
                    f"{near(pipe, tasks)} Add the task to the flow, or rename the parameter, or name the flow that "
                    "makes it: reads=that_flow."
                )
        for pipe in item.window:
            if makers[pipe].per and not makers[pipe].batch:
                raise FlowError(
                    f"flow {flow!r}: task {item.name!r} has a window over {pipe!r}, which holds one pipe "
                    f"a {makers[pipe].per}, not one an entity. Read it without a window."
                )


def _lengths(flow: str, keep: Mapping[str, Duration]) -> list[tuple[str, float]]:
    return [
        (pipe, durations.seconds(length, f"flow {flow!r}: keep of {pipe!r}")) for pipe, length in keep.items()
    ]


def _kept(flow: str, tasks: Mapping[str, Task], keep: Mapping[str, Duration]) -> dict[str, float]:
    for pipe in keep:
        if pipe not in tasks:
            raise FlowError(
                f"flow {flow!r} is to keep {pipe!r}, which no task of it makes.{near(pipe, tasks)} It has: "
                f"{', '.join(tasks)}."
            )
    return dict(_lengths(flow, keep))


def _ordered(flow: str, tasks: Mapping[str, Task]) -> dict[str, Task]:
    """Order the tasks so that each comes after its inputs; among equals as they were named."""
    made = {name: [pipe for pipe in item.inputs if pipe in tasks] for name, item in tasks.items()}
    sorter = graphlib.TopologicalSorter(made)
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
        return Cron.hourly(schedule).line
    except DurationError as error:
        raise FlowError(f"flow {flow!r}: {error}") from None
