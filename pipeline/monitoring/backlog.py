"""Backlog: how much work lies before the workers of each queue.

The length of a queue alone says little: a message may be worth a millisecond or two minutes, and what workers have
taken is in no queue. Work is counted in seconds of one slot: messages, times what their tasks took in earlier waves.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from pipeline.gate.units import Unit
from pipeline.gate.wave_spec import WaveSpec
from pipeline.messaging.lost_messages import HELD
from pipeline.messaging.queue_contents import lists, units_of
from pipeline.serving.demand import demand
from pipeline.serving.names import place_of
from pipeline.waves.runtime import Runtime
from pipeline.waves.task_costs import read_costs

SAMPLE = 100  # messages at either end of a list that are read; those between are taken to be like them
PAGE = 500  # messages in flight that are read at once


@dataclass(frozen=True, slots=True)
class Backlog:
    """What lies before the workers of one queue."""

    queue: str
    queued: int  # messages, of any priority
    in_flight: (
        int  # messages that workers have taken and not ended; of a served model, the slots that call it
    )
    seconds: float  # of work for one slot, in both

    @property
    def messages(self) -> int:
        """All messages that are not done."""
        return self.queued + self.in_flight


def backlogs(runtime: Runtime, queues: Sequence[str]) -> dict[str, Backlog]:
    """Measure queues, given by their full names (`main.compute`).

    Where a task was never measured, a shard is taken to be worth what shards are cut to (PIPELINE_SHARD_SECONDS). A
    served model's work is what the API says of its requests.
    """
    costs = _Costs(runtime)
    flying: dict[str, list[float]] = {queue: [] for queue in queues}
    for queue, message in _in_flight(runtime.client):
        if queue in flying:
            flying[queue].append(costs.of(message))
    found = {}
    for queue in queues:
        queued, seconds = 0, sum(flying[queue])
        for key in lists(queue):
            length, sample = _look(runtime.client, key)
            queued += length
            seconds += length * sum(map(costs.of, sample)) / max(len(sample), 1)
        found[queue] = Backlog(queue, queued, len(flying[queue]), seconds)
        if (place := place_of(queue)) is not None:
            asked = demand(runtime.client, place)
            found[queue] = Backlog(queue, queued, asked.busy, asked.seconds)
    return found


def _look(client: Any, key: str) -> tuple[int, list[Mapping[str, Any]]]:
    """Return the length of a list, and some of its messages."""
    with client.pipeline() as pipe:  # at one time, so that the sample is of that length
        pipe.llen(key)
        pipe.lrange(key, 0, SAMPLE - 1)
        pipe.lrange(key, -SAMPLE, -1)
        length, first, last = pipe.execute()
    overlap = max(len(first) + len(last) - length, 0)
    return length, [message for raw in [*first, *last[overlap:]] if (message := _decoded(raw))]


def _in_flight(client: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the queue and the content of each message that a worker has taken."""
    cursor = None
    while cursor != 0:
        cursor, found = client.hscan(HELD, cursor or 0, count=PAGE)
        for blob in found.values():
            entry = _decoded(blob)
            if isinstance(entry, list) and len(entry) == 3 and isinstance(entry[0], Mapping):
                yield str(entry[2]), entry[0]


def _decoded(raw: bytes) -> Any:
    try:
        return orjson.loads(raw)
    except ValueError:
        return None


class _Costs:
    """What messages are worth, in seconds of work."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._known: dict[tuple[str, str], Mapping[str, float]] = {}

    def of(self, message: Mapping[str, Any]) -> float:
        """Return the seconds that one message is worth; nothing for one that runs none of our tasks."""
        found = units_of(message) if isinstance(message, Mapping) else None
        if not found or not found[1]:
            return 0.0
        wave_id, units = found
        spec = self._runtime.records.readable_spec(wave_id)
        return 0.0 if spec is None else sum(self._unit(spec, unit) for unit in units)

    def _unit(self, spec: WaveSpec, unit: Unit) -> float:
        key = (spec.version, spec.flow)
        if key not in self._known:
            self._known[key] = read_costs(self._runtime.client, *key)
        each = self._known[key].get(unit.task)
        return self._runtime.settings.shard_seconds if each is None else each * spec.size(unit)
