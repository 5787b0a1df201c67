"""Whether workers take from the queues of a wave, and whether they have a slot free."""

from __future__ import annotations

from collections.abc import Iterable

from pipeline.gate.wave_spec import WaveSpec
from pipeline.monitoring.backlog import backlogs
from pipeline.waves.presence import WORKER, present
from pipeline.waves.runtime import Runtime


def waits(runtime: Runtime, spec: WaveSpec, tasks: Iterable[str]) -> list[str]:
    """Return what tasks of a wave wait for: workers where there are none, free slots where all are busy."""
    slots = slots_of(runtime, spec, tasks)
    found = [text] if (text := untaken(spec, slots)) else []
    for queue, backlog in backlogs(runtime, [queue for queue, n in slots.items() if n]).items():
        if backlog.queued and backlog.in_flight >= slots[queue]:
            found.append(
                f"all slots ({slots[queue]:,}) of the workers of {queue} are busy; messages that wait there: "
                f"{backlog.queued:,}"
            )
    return found


def slots_of(runtime: Runtime, spec: WaveSpec, tasks: Iterable[str]) -> dict[str, int]:
    """Return the full name of each queue of these tasks -> how many units its workers run at a time."""
    queues = sorted({spec.queue(task) for task in tasks})
    workers = [process for process in present(runtime.client) if process.kind == WORKER]
    return {queue: sum(worker.slots for worker in workers if queue in worker.queues) for queue in queues}


def untaken(spec: WaveSpec, slots: dict[str, int]) -> str:
    """Return which queues no worker takes from, and how to start one; "" where all have some."""
    none = [queue for queue, n in slots.items() if not n]
    if not none:
        return ""
    return (
        f"no worker takes from {' and '.join(none)}. Start one: wave up --version {spec.version}, or a worker with "
        f"-Q {','.join(none)}."
    )
