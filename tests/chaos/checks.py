"""What must hold when all waves have ended."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import numpy as np
from redis import Redis

from pipeline import Wave
from pipeline.flows.pipe import stamp
from pipeline.gate.keys import DEADLINES
from pipeline.gate.records import WaveInfo
from pipeline.gate.unit_record import Condition
from pipeline.gate.units import Unit
from pipeline.store.codec import is_numeric
from pipeline.waves.runtime import Runtime
from tests.chaos.aof import written

TERMINAL = {"finished", "failed", "skipped"}
GRACE = 2.0  # seconds after its expiry until a wave must be closed
# Keys that live for ever by intent: registers of bounded size.
LASTING = (
    "_kombu.",
    "costs:",
    "deadlines",
    "waves",
    "scheduled",
    "state:",
    "states",
    "totals",
    "unacked_mutex",
)


def status_errors(wave: Wave) -> int:
    """Count entities of tasks that have not exactly one terminal status, or that the counts miss."""
    progress, found = wave.progress(), 0
    for name in wave.spec.plan.steps:
        statuses = wave.statuses(name)
        places = wave.spec.units.places(name)
        size = sum(wave.spec.size(Unit(name, where)) for where in places)
        found += abs(size - len(statuses))
        found += sum(s.status not in TERMINAL for s in statuses.values())
        counted = Counter(map(str, statuses.values()))
        found += sum(
            ((counted - Counter(progress.tasks[name])) + (Counter(progress.tasks[name]) - counted)).values()
        )
    return found


def pipes(wave: Wave, runtime: Runtime) -> tuple[int, int, int]:
    """Count finished entities of tasks, those of them without a pipe, and pipes that nobody finished."""
    finished = errors = surplus = 0
    for name in wave.spec.plan.steps:
        statuses = wave.statuses(name)
        due = {key for key, s in statuses.items() if s.status == "finished" and s.observed}
        stored = set(runtime.store.get("main", name, wave.date, list(statuses)))
        finished += len(due)
        errors += len(due - stored)
        surplus += len(stored - due)
    return finished, errors, surplus


def window_errors(wave: Wave, runtime: Runtime) -> int:
    """Count the entities of tasks whose window differs from their pipe: another number, or only one of the two."""
    found = 0
    for name in wave.spec.plan.steps:
        keys = list(wave.statuses(name))
        stored = runtime.store.get("main", name, wave.date, keys)
        if not stored or any(is_numeric(value) for value in stored.values()):
            (window,) = runtime.store.window("main", name, wave.date, 1, keys)
            pipes = np.array([stored.get(key, np.nan) for key in keys], dtype=float)
            found += int((~np.isclose(window, pipes, rtol=0, atol=0, equal_nan=True)).sum())
    return found


def attempts(wave: Wave, client: Redis) -> tuple[int, int]:
    """Count the attempts beyond the first of each unit, and the claims that are left."""
    again = claims = 0
    for record in client.hvals(f"wave:{wave.id} units"):
        condition = Condition.read(record.decode())
        again += max(condition.attempt - 1, 0)
        claims += condition.name == "running" and wave.info().reason == "done"
    return again, claims


def overwritten(folder: Path, waves: list[Wave]) -> int:
    """Count the pipes that were written more than once between two flushes, or taken away otherwise."""
    dates = tuple(stamp(wave.date).encode() for wave in waves)
    counts = written(folder, b"main/")
    return sum(n != 1 for (_, key), n in counts.items() if key.endswith(dates))


def leftovers(client: Redis) -> dict[str, int]:
    """Count what is left in Redis that should not be: messages, deadlines, keys without an end."""
    found = {"deadlines": client.zcard(DEADLINES), "unacked": client.hlen("unacked")}
    for key in client.scan_iter(count=10_000):
        name = key.decode()
        if name.startswith("wave-shards:"):
            found[name] = 1
        elif name.startswith("main.") and client.type(key) == b"list":
            found[name] = client.llen(key)
        elif (
            name not in ("unacked", "unacked_index")
            and not name.startswith(LASTING)
            and client.ttl(key) == -1
        ):
            found[f"{name} (without an end)"] = 1
    return {name: n for name, n in found.items() if n}


def lateness(infos: Sequence[WaveInfo], usual: float) -> tuple[float, float]:
    """Give by how many seconds waves took longer than is usual without faults: the median, the worst."""
    late = [max(0.0, (info.ended or info.expires + 3600) - info.submitted - usual) for info in infos]
    return median(late), max(late)


def seconds(waves: Sequence[Wave]) -> float:
    """Give the median of what waves took."""
    return median((info.ended or 0) - info.submitted for info in (wave.info() for wave in waves))


def by_deadline(infos: Sequence[WaveInfo]) -> int:
    """Count the waves that ended by their deadline."""
    return sum(info.ended is not None and info.ended <= info.expires + GRACE for info in infos)
