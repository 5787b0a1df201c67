"""Entities of a state by the page, and what is stored of one of them."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any

from pipeline.flows.left_out import LeftOut
from pipeline.flows.pipe import hour
from pipeline.gate.status import Status
from pipeline.gate.units import ALL
from pipeline.waves.runtime import Runtime
from pipeline.waves.wave import Wave

PAGE = 50  # entities
HOURS = 12  # of an entity's page
REMEMBERED = 20.0  # seconds that a state's keys are kept: sorting 100,000 takes a tenth of a second


@dataclass(frozen=True, slots=True)
class Page:
    """Some entities of a state."""

    state: str
    query: str
    number: int  # from 1
    pages: int
    count: int  # entities that match
    total: int  # entities in the state
    entities: Sequence[tuple[str, Mapping[str, Any]]]  # with their features
    left_out: LeftOut  # what its source gave the last time and was left out


@dataclass(frozen=True, slots=True)
class EntityView:
    """One entity in a flow's newest hours."""

    version: str
    flow: str
    entity: str
    dates: Sequence[str]  # the newest first
    tasks: Sequence[str]
    values: Mapping[tuple[str, str], Any]  # (task, date) -> value, where there is a pipe
    date: str  # of the wave that statuses are of
    statuses: Mapping[str, Status]  # task -> how it stands there
    errors: Mapping[str, str]  # task -> why


class Keys:
    """The sorted keys of states, read again when they have become old."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._lock = Lock()
        self._known: dict[str, tuple[float, list[str]]] = {}

    def of(self, state: str) -> list[str]:
        """Return all keys of a state, sorted. Raises UnknownName."""
        with self._lock:
            at, keys = self._known.get(state, (0.0, []))
            if time.monotonic() - at > REMEMBERED or not at:
                keys = sorted(self._runtime.states.keys(state))
                self._known[state] = time.monotonic(), keys
        return keys

    def page(self, state: str, query: str = "", number: int = 1) -> Page:
        """Return one page of the entities whose key holds a text, whatever its case."""
        keys = self.of(state)
        wanted = query.strip().lower()
        found = [key for key in keys if wanted in key.lower()] if wanted else keys
        pages = max(-(-len(found) // PAGE), 1)
        number = min(max(number, 1), pages)
        shown = found[(number - 1) * PAGE : number * PAGE]
        features = self._runtime.states.features_of(state, shown)
        return Page(
            state,
            query,
            number,
            pages,
            len(found),
            len(keys),
            list(zip(shown, features, strict=True)),
            self._runtime.states.left_out(state),
        )


def look_at(runtime: Runtime, ids: Sequence[str], entity: str) -> EntityView:
    """Show what is stored of an entity at the dates of some waves, and how it stands in the first of them.

    Raises UnknownName for a wave that Redis has forgotten.
    """
    chosen = Wave.find(ids[0], runtime)
    spec, tasks = chosen.spec, list(chosen.spec.plan.steps)
    dates = sorted({wave_id.split(" ")[1] for wave_id in ids}, reverse=True)
    at = max(dates.index(ids[0].split(" ")[1]) - HOURS // 2, 0)
    shown = dates[at : at + HOURS]
    names = {hour(date): date for date in shown}
    place = chosen.place(entity)
    scopes = {"partition": f"@{spec.partitions[place[0]]}" if place else "", "wave": ALL}
    values: dict[tuple[str, str], Any] = {}
    for task, step in spec.plan.steps.items():
        # A task of a scope has one pipe for all of it, or one for each entity.
        keys = [key for key in (scopes.get(step.per or ""), entity) if key]
        found = runtime.store.get_grid(spec.version, task, list(names), keys, base=spec.base)
        values |= {
            (task, names[date]): found[key, date] for key in keys for date in names if (key, date) in found
        }
    statuses, errors = chosen.entity(*place) if place else ({}, {})
    date = ids[0].split(" ")[1]
    return EntityView(spec.version, spec.flow, entity, shown, tasks, values, date, statuses, errors)
