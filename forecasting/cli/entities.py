"""Which entities a command is about: those that are named, else those of a state."""

from __future__ import annotations

from collections.abc import Sequence

import click

from pipeline.cli.session import Session
from pipeline.entity import check_entity_key
from pipeline.errors import UnknownName, listed
from pipeline.flow import Flow
from pipeline.state import State


def chosen(session: Session, pipe: str, named: Sequence[str], state: str | None) -> list[str]:
    """Give the entities that are named, else those of `state`, else of the state of the flow that makes the pipe.

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


def _state(session: Session, pipe: str) -> State:
    flows: list[Flow] = (
        [flow for flow in session.flows.values() if pipe in flow.tasks] if _has(session) else []
    )
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
