"""What tasks cost, in seconds an entity, as the waves that have ended measured it: by this shards are cut."""

from __future__ import annotations

from typing import Any

from redis import Redis

from pipeline.forms import readable
from pipeline.gate.records import Records
from pipeline.gate.wave_spec import WaveSpec

MEMORY = 0.7  # of what is known, how much still counts after one more wave


def read_costs(client: Redis, version: str, flow: str) -> dict[str, float]:
    """Return the seconds an entity that each task took in earlier waves."""
    return {task: took / ran for task, (took, ran) in _measured(client, version, flow).items()}


def _measured(client: Any, version: str, flow: str) -> dict[str, tuple[float, float]]:
    return dict(readable(_cost, client.hgetall(f"costs:{version}/{flow}").items()))


def _cost(item: tuple[bytes, bytes]) -> tuple[str, tuple[float, float]]:
    took, ran, *_ = item[1].decode().split(" ")
    return item[0].decode(), (float(took), float(ran))


def learn_costs(records: Records, spec: WaveSpec) -> None:
    """Add what a wave's tasks took to what is known of them.

    By sums, so that a wave of few entities, in which the time between their calls tells most, counts for little.
    """
    known, measured = _measured(records.client, spec.version, spec.flow), {}
    for task, counts in records.counts(spec.id).items():
        micros = counts.pop("us", 0)
        new = sum(counts.values())
        if new and not spec.plan.steps[task].per:
            took, ran = known.get(task, (0.0, 0.0))
            measured[task] = f"{took * MEMORY + micros / 1e6:.9f} {ran * MEMORY + new:.3f}"
    if measured:
        records.client.hset(f"costs:{spec.version}/{spec.flow}", mapping=measured)
