"""For tests of your own flows: run a wave in this process, without Redis and without workers.

    wave = run_wave(flow, entities=["JFK-LAX"], date="2013-06-25T13")
    assert wave.result("delay", "JFK-LAX") == 12.5

The same code runs the tasks as in a worker, on a store in memory. For pytest, `pipeline.fixtures` has it as a
fixture.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from weakref import WeakKeyDictionary

from pipeline.errors import FlowError, WaveError
from pipeline.execution.runner import Runner
from pipeline.execution.tools import Tools
from pipeline.flows.discover import Flows
from pipeline.flows.flow import Flow
from pipeline.flows.left_out import LeftOut
from pipeline.flows.makers import check_makers, same_task, two_makers
from pipeline.flows.pipe import check_version, floor, hour, stamp
from pipeline.flows.plan import compile_flow
from pipeline.flows.state import State
from pipeline.flows.task import Task
from pipeline.gate.answers import Claim, Receipt
from pipeline.gate.records import WaveInfo
from pipeline.gate.shards import Shard, cut_shards, own_entities
from pipeline.gate.units import Unit
from pipeline.gate.wave_spec import WaveSpec
from pipeline.settings import Settings
from pipeline.states import MemoryStates
from pipeline.store import MemoryStore, Store
from pipeline.waves.runtime import Runtime
from pipeline.waves.wave import Wave

SHARD_SIZE = 500

_makers: WeakKeyDictionary[Store, dict[tuple[str, str], tuple[str, Task]]] = WeakKeyDictionary()


@dataclass
class _LocalRecords:
    """A wave in memory, in the form in which Redis would give it."""

    wave: WaveSpec
    shards: Sequence[Shard]
    chars: dict[Unit, str] = field(default_factory=dict)
    texts: dict[tuple[str, str, int], str] = field(default_factory=dict)
    tallies: dict[str, dict[str, int]] = field(default_factory=dict)
    left: LeftOut = field(default_factory=LeftOut)

    def recall(self, wave_id: str) -> WaveSpec | None:
        return self.wave

    def shard(self, spec: WaveSpec, where: str) -> Shard:
        return self.shards[int(where)]

    def statuses(self, wave_id: str, units: Sequence[Unit]) -> list[str]:
        return [self.chars.get(unit, "") for unit in units]

    def errors(self, wave_id: str, task: str | None = None) -> dict[tuple[str, str, int], str]:
        return {key: text for key, text in self.texts.items() if task in (None, key[0])}

    def counts(self, wave_id: str) -> dict[str, dict[str, int]]:
        return self.tallies

    def leave_out(self, wave_id: str, left: LeftOut) -> None:
        self.left.take(left)

    def left_out(self, wave_id: str) -> LeftOut:
        return self.left

    def info(self, wave_id: str) -> WaveInfo:
        return WaveInfo("closed", "done" if self.shards else "empty", 0, 0.0, 0.0, 0.0, 0)


class _LocalGate:
    """Grants each unit once: in one process nobody else asks."""

    def __init__(self, records: _LocalRecords) -> None:
        self._records = records

    def claim(self, wave_id: str, unit: Unit, **_: Any) -> Claim:
        return Claim("granted", attempt=1)

    def report(
        self,
        wave_id: str,
        unit: Unit,
        attempt: int,
        *,
        statuses: str,
        counts: Mapping[tuple[str, str], int],
        errors: Mapping[int, str],
        **_: Any,
    ) -> Receipt:
        found = self._records
        found.chars[unit] = statuses
        found.texts |= {(unit.task, unit.where, index): text for index, text in errors.items()}
        tally = found.tallies.setdefault(unit.task, {})
        for (char, _late), n in counts.items():
            tally[char] = tally.get(char, 0) + n
        return Receipt("ok")


class _NoLimit:
    """Rates hold for workers; a test does not wait."""

    def reserve(self, name: str, rate: float) -> float:
        return 0.0


def run_wave(
    flow: Flow,
    entities: Iterable[str] | Mapping[str, Mapping[str, Any]],
    date: datetime | str | None = None,
    *,
    store: Store | None = None,
    version: str = "test",
    base: str | None = None,
    only: Iterable[str] | None = None,
    states: MemoryStates | None = None,
    shard_size: int = SHARD_SIZE,
) -> Wave:
    """Run a flow over some entities in this process, and return the wave when it has ended.

    entities    keys, or key -> features (which hold the feature that the flow's state is partitioned by)
    date        the hour (UTC); this hour by default
    store       where pipes are read and written; an empty one in memory by default. Put inputs of an earlier
                hour into it, or give the same store to several waves
    version     under which pipes are written; `base` is read where it has none
    only        names of the tasks to run; other inputs are read from the store
    states      where tasks that ask for `state` find it; an empty registry by default
    shard_size  entities of one shard, that is of one call of a batch task

    Raises FlowError and KeyFormatError as `submit_wave` does, so that two flows do not make one pipe of a store.
    What tasks raise is in the wave's errors.
    """
    when = floor(datetime.now(UTC)) if date is None else hour(date)
    plan = compile_flow(flow, only)
    store = MemoryStore() if store is None else store
    _check_makers(store, version, flow, plan.steps)
    left = LeftOut()
    shards = cut_shards(own_entities(entities, flow.state or State("entities"), left), shard_size)
    spec = WaveSpec(
        id=f"{check_version(version)}/{flow.name} {stamp(when)}",
        version=version,
        base=base,
        date=when,
        state=None if flow.state is None else flow.state.name,
        plan=plan,
        partitions=tuple(shard.partition for shard in shards),
        sizes=tuple(len(shard.keys) for shard in shards),
        expiry=0.0,
    )
    local = _LocalRuntime(_LocalRecords(spec, shards, left=left), store, states or MemoryStates())
    runner = local.runner(Flows([flow], ["this test"]))
    for unit in spec.units:
        runner.run(spec.id, unit)
    return _LocalWave(spec, local)


def _check_makers(store: Store, version: str, flow: Flow, steps: Iterable[str]) -> None:
    """Hold a flow against those that made pipes in the same store, in one version."""
    check_makers([flow])
    makers = _makers.setdefault(store, {})
    for name in steps:
        task = flow.tasks[name]
        other, its = makers.get((version, name), (flow.name, task))
        if other != flow.name and not same_task(task, its):
            raise FlowError(two_makers(name, (other, its.place), (flow.name, task.place)))
        makers[version, name] = flow.name, task


class _LocalWave(Wave):
    """A wave that was run in this process."""

    def retry(self) -> Wave:
        raise WaveError(
            f"wave {self.id!r} was run by run_wave(), which cannot retry. Run it again with another store."
        )


class _LocalRuntime(Runtime):
    """A runtime whose parts are in memory."""

    def __init__(self, records: _LocalRecords, store: Store, states: MemoryStates) -> None:
        super().__init__(Settings(version=records.wave.version))
        parts = {
            "records": records,
            "store": store,
            "states": states,
            "gate": _LocalGate(records),
            "rates": _NoLimit(),
        }
        self.__dict__.update(parts)

    def runner(self, flows: Flows) -> Runner:
        tools = Tools(self.gate, self.records, self.store, self.rates, self.states.bind)
        return Runner(tools, flows, owner="test", lease=3600.0)
