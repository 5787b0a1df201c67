"""One name, one maker: two flows may share a task or a state, and never have different ones of one name. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from pipeline.errors import FlowError
from pipeline.flows.flow import Flow
from pipeline.flows.state import State
from pipeline.flows.task import Task


def check_makers(flows: Iterable[Flow]) -> None:
    """Check that no two of some flows, with those that they read, make a pipe or define a state differently.

    Raises FlowError, which names both flows and where their tasks or states are declared.
    """
    makers: dict[str, tuple[Flow, Task]] = {}
    states: dict[str, tuple[Flow, State]] = {}
    for flow in _with_read(flows):
        for name, task in flow.tasks.items():
            other, its = makers.setdefault(name, (flow, task))
            if not same_task(task, its):
                raise FlowError(two_makers(name, (other.name, its.place), (flow.name, task.place)))
        if flow.state is not None and not flow.state.bare:
            other, state = states.setdefault(flow.state.name, (flow, flow.state))
            check_states((flow.name, flow.state), (other.name, state))


def check_states(mine: tuple[str, State | None], its: tuple[str, State | None]) -> None:
    """Check that the states of two flows do not define one name differently. Raises FlowError."""
    (flow, state), (other, other_state) = mine, its
    if state is None or other_state is None or state.bare or other_state.bare:
        return
    if state.name == other_state.name and not state.same(other_state):
        raise FlowError(two_states(state.name, (other, other_state.place), (flow, state.place)))


def same_task(mine: Task, its: Task) -> bool:
    """Return whether two tasks are one, or one that was declared again, as in a module imported under two names."""
    return mine is its or (mine.place is not None and its.place is not None and mine.place.same(its.place))


def two_makers(pipe: str, one: tuple[str, object], other: tuple[str, object]) -> str:
    """Return the text for two flows that, given as name and place of the task, make one pipe."""
    return (
        f"the pipe {pipe!r} has two makers: a task of flow {one[0]!r} ({one[1]}) and another of flow {other[0]!r} "
        f"({other[1]}). The second would be given what the first has stored. Rename one, or share one task between "
        "the flows."
    )


def two_states(name: str, one: tuple[str, object], other: tuple[str, object]) -> str:
    """Return the text for two flows that, given as name and place of the state, define one state differently."""
    return (
        f"the state {name!r} has two definitions: of flow {one[0]!r} ({one[1]}) and of flow {other[0]!r} ({other[1]}). "
        "Their entities would be mixed. Rename one, or share one State between the flows."
    )


def _with_read(flows: Iterable[Flow]) -> list[Flow]:
    found: dict[int, Flow] = {}
    todo = list(flows)
    while todo:
        flow = todo.pop(0)
        if id(flow) not in found:
            found[id(flow)] = flow
            todo += flow.others
    return list(found.values())
