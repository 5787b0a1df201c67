"""Which entities of a unit have their pipe, whoever put it: a pipe is the truth, whatever became of who wrote it."""

from __future__ import annotations

from collections.abc import Iterable

from pipeline.errors import StoreError
from pipeline.flows.flow import Flow
from pipeline.gate import status
from pipeline.gate.gate import Gate
from pipeline.gate.records import Records
from pipeline.gate.status import FINISHED, PENDING_CHAR
from pipeline.gate.units import Unit
from pipeline.gate.wave_spec import WaveSpec
from pipeline.store import Store
from pipeline.telemetry.logs import get_logger

log = get_logger("pipeline.standing")


def standing(
    store: Store,
    records: Records,
    spec: WaveSpec,
    unit: Unit,
    indices: Iterable[int],
    flow: Flow | None = None,
) -> set[int]:
    """Return which entities of a unit have a pipe of the wave's own version; its numbers are in their series then.

    The one entity of a scope has one when any pipe stands that its task may make: its own, or one of an entity of the
    scope. `flow` is asked how long series are kept; without it they stay at least as long as Redis has them.
    """
    wanted = list(indices)
    if not wanted:
        return set()
    if unit.where.startswith("@"):
        shards = [records.shard(spec, number) for number in spec.units.shards_of(unit.where)]
        places = {key: 0 for shard in shards for key in shard.keys} | {unit.where: 0}
    else:
        keys = records.shard(spec, unit.where).keys
        places = {keys[i]: i for i in wanted}
    task = flow.tasks.get(unit.task) if flow is not None else None
    ttl, kept = (task.ttl, flow.keep(unit.task)) if flow is not None and task is not None else (0.0, 0.0)
    try:
        found = store.standing(spec.version, unit.task, spec.date, list(places), ttl, kept)
    except StoreError as error:  # it cannot be asked now, and the wave goes on without it
        log.warning("cannot look up pipes", wave=spec.id, task=unit.task, shard=unit.where, error=str(error))
        return set()
    return {places[key] for key in found}


def amend(gate: Gate, store: Store, records: Records, spec: WaveSpec, units: Iterable[Unit]) -> None:
    """Set those entities of some units to finished that are not, though their pipes stand."""
    ordered = sorted(units, key=lambda unit: unit.where)  # a shard's entities are read once for all its tasks
    for unit, held in zip(ordered, records.statuses(spec.id, ordered), strict=True):
        chars = held or PENDING_CHAR * spec.size(unit)
        missing = [i for i, char in enumerate(chars) if status.code(char) != FINISHED]
        found = standing(store, records, spec, unit, missing)
        if found:
            told = "".join(status.char(FINISHED) if i in found else PENDING_CHAR for i in range(len(chars)))
            dependents = [(d, spec.units.need(d)) for d in spec.units.dependents(unit)]
            gate.amend(spec.id, unit, told, dependents, spec.submission)
