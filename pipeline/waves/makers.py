"""Who makes which pipe in a deployment: each submission notes it, for processes that do not know each other's flows.

makers:{version}  hash: flow -> JSON: its pipes and its state with where they are declared, and until when that counts
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import orjson
from redis.client import Pipeline

from pipeline.errors import FlowError
from pipeline.flows.flow import Flow, known
from pipeline.flows.makers import check_makers, check_states, same_task, two_makers, two_states
from pipeline.flows.place import same_note
from pipeline.flows.state import State
from pipeline.formatting import moment
from pipeline.waves.runtime import Runtime


def note_makers(
    runtime: Runtime, flow: Flow, version: str, steps: Iterable[str], state: State | None
) -> None:
    """Note that a flow makes the pipes of some of its tasks, and note anew what this process knows of others.

    Raises FlowError where another flow, of this process or of one that submitted it within its wave ttl, makes one
    of these pipes by another task, or defines the state differently.
    """
    check_makers([flow])
    check_states((flow.name, state), (flow.name, flow.state))
    client: Any = runtime.client
    key, names = f"makers:{version}", frozenset(steps)

    def write(pipe: Pipeline) -> None:
        seconds, _ = client.time()
        noted = {name: note for name, note in _read(pipe.hgetall(key)).items() if note["until"] > seconds}
        for name, note in noted.items():
            if name in known and name != flow.name:
                _check_known(flow, names & note["pipes"].keys(), state, known[name])
            elif name != flow.name:
                _check_noted(flow, names & note["pipes"].keys(), state, name, note)
        new = {
            name: note | _note(known[name], known[name].state, note["pipes"])
            for name, note in noted.items()
            if name in known
        }
        before = noted.get(flow.name, {"pipes": {}})["pipes"]
        until = seconds + int(runtime.settings.wave_ttl)
        new[flow.name] = _note(flow, state, names | before.keys()) | {"until": until}
        pipe.multi()
        pipe.hset(key, mapping={name: orjson.dumps(note) for name, note in new.items()})
        pipe.expireat(key, max(note["until"] for note in (noted | new).values()))

    client.transaction(write, key)


def _read(stored: Mapping[Any, Any]) -> dict[str, dict[str, Any]]:
    """Read the notes; one that is not in a form that we know is left out."""
    found = {}
    for name, data in stored.items():
        try:
            note = orjson.loads(data)
            if isinstance(note["until"], int) and isinstance(note["pipes"], dict):
                found[name.decode()] = note
        except (ValueError, TypeError, KeyError):
            continue
    return found


def _note(flow: Flow, state: State | None, pipes: Iterable[str]) -> dict[str, Any]:
    makers = {name: flow.tasks[name].place for name in pipes if name in flow.tasks}
    return {
        "pipes": {name: place.note for name, place in makers.items() if place is not None},
        "state": None if state is None or state.bare else _definition(state),
    }


def _definition(state: State) -> dict[str, Any]:
    code = getattr(state.source, "__code__", None)
    source = f"{Path(code.co_filename).name} {code.co_qualname}" if code else type(state.source).__name__
    return {
        "name": state.name,
        "at": str(state.place),
        "is": [state.partition_by, state.ttl_seconds, source],
    }


def _check_known(flow: Flow, pipes: Iterable[str], state: State | None, other: Flow) -> None:
    """Hold a flow against another that this process knows, whatever was noted of it."""
    for name in sorted(pipes):
        its = other.tasks.get(name)
        if its is not None and not same_task(flow.tasks[name], its):
            raise FlowError(two_makers(name, (other.name, its.place), (flow.name, flow.tasks[name].place)))
    check_states((flow.name, state), (other.name, other.state))


def _check_noted(
    flow: Flow, pipes: Iterable[str], state: State | None, other: str, note: Mapping[str, Any]
) -> None:
    """Hold a flow against what is noted of another, which this process does not know."""
    for name in sorted(pipes):
        place, its = flow.tasks[name].place, note["pipes"][name]
        if place is not None and not same_note(place.note, its):
            raise FlowError(
                f"{two_makers(name, (other, its['at']), (flow.name, place))} {_while(other, note)}"
            )
    held = note.get("state")
    if state is None or state.bare or not held or held["name"] != state.name:
        return
    if held["is"] != _definition(state)["is"]:
        text = two_states(state.name, (other, held["at"]), (flow.name, state.place))
        raise FlowError(f"{text} {_while(other, note)}")


def _while(other: str, note: Mapping[str, Any]) -> str:
    return (
        f"(Flow {other!r} was submitted by another process; unless it is again, this holds until "
        f"{moment(note['until'])} UTC. Another version is free of it.)"
    )
