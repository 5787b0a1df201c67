"""Which entities a command is about: those that are named, else those of a state; and what the flows know of a pipe."""

from __future__ import annotations

from collections.abc import Sequence

import click

from pipeline.cli.session import Session
from pipeline.errors import UnknownName, listed, near
from pipeline.flows.entity import check_entity_key
from pipeline.flows.flow import Flow
from pipeline.flows.state import State

SUFFIX = "_forecast"  # of a task's name, after the pipe that it forecasts


def chosen(session: Session, pipe: str, named: Sequence[str], state: str | None) -> list[str]:
    """Return the entities that are named, else those of `state`, else of the state of the flow that makes the pipe.

    Raises KeyFormatError for a bad key, UnknownName for a state that is not there, and UsageError when nothing tells
    which entities are meant.
    """
    if named:
        return [check_entity_key(key) for key in named]
    found = session.state(state) if state else _state(session, pipe)
    groups = session.runtime.states.bind(found).snapshot()
    keys = [key for _, keys, _ in groups for key in keys]
    if not keys:
        raise UnknownName(f"state {found.name!r} holds no entity. `wave state add` puts one in.")
    return keys


def observed_of(session: Session, pipe: str) -> str | None:
    """Return the pipe that a task forecasts, where its flow tells: `x` of `x_forecast`, if the flow makes both."""
    for flow in _flows(session, pipe):
        told: str | None = getattr(flow.tasks[pipe].fn, "observed", None)
        own = told or pipe.removesuffix(SUFFIX)
        if own != pipe and own in flow.makers:
            return own
    return None


def near_names(session: Session, pipe: str, key: str) -> str:
    """Return what the flows and their states know that is near to a pipe or an entity that they do not know."""
    if not _has(session):
        return ""
    flows = _flows(session, pipe)
    if not flows:
        known = {name for flow in session.flows.values() for name in flow.makers}
        return f" No flow here makes {pipe!r}.{near(pipe, known)}"
    states = {flow.state.name for flow in flows if flow.state is not None}
    keys = {
        known
        for name in states
        for _, some, _ in session.runtime.states.bind(State(name)).snapshot()
        for known in some
    }
    if not keys or key in keys:
        return ""
    return f" {listed(f'state {name!r}' for name in states)} has no entity {key!r}.{near(key, keys)}"


def _flows(session: Session, pipe: str) -> list[Flow]:
    return [flow for flow in session.flows.values() if pipe in flow.tasks] if _has(session) else []


def _state(session: Session, pipe: str) -> State:
    flows = _flows(session, pipe)
    states = {flow.state.name: flow.state for flow in flows if flow.state is not None}
    if len(states) == 1:
        return next(iter(states.values()))
    if states:
        raise click.UsageError(f"several states have {pipe!r}: {listed(states)}. Choose one: --state NAME.")
    raise click.UsageError(
        f"no flow here makes {pipe!r}, so its entities are not known. Name some, or --state NAME, or the flow's module "
        "by -F."
    )


def _has(session: Session) -> bool:
    return bool(session.settings.flows)
