"""python -m tests.chaos.soak: waves for ten minutes; the memory of workers and of Redis must stay as it is.

Waves and pipes are kept for half a minute here, so that after the first minute as much goes as comes.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from statistics import mean
from typing import Any

import click
from redis import Redis

from pipeline import submit_wave
from pipeline.flows.discover import load_flows
from pipeline.local.embedded import EmbeddedRedis
from pipeline.local.processes import Workers
from pipeline.settings import Settings
from pipeline.waves.runtime import Runtime
from tests.chaos.faults import CITIES, START

FLOWS = str(Path(__file__).with_name("soak_flows.py"))
KEPT = 20.0  # seconds that a wave and its pipes are kept
EXPIRY = 10.0  # seconds after which a wave is closed; it is kept from then on
HOURS = (
    60  # dates, over and over: a wave is long forgotten when its date comes again, and windows stay as long
)
GROWTH = 0.05  # of either memory, from the second minute to the last
PACE = 1.0  # seconds between two waves, if they are quick enough
EVERY = 5.0  # seconds between two looks


@dataclass(frozen=True, slots=True)
class Look:
    """What was in use at a time."""

    seconds: float
    workers_mb: float
    redis_mb: float
    keys: int


def memory(pids: Sequence[int]) -> float:
    """Give the MB that processes with all their children hold for themselves."""
    groups = ",".join(map(str, pids))
    found = subprocess.run(["pgrep", "-g", groups], capture_output=True, text=True, check=True).stdout.split()
    return sum(map(_private, found)) / 1024


def _private(pid: str) -> int:
    """Give the kB that a process would free by its end."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:  # it has just ended
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_"))


def look(began: float, workers: Workers, client: Redis) -> Look:
    """Look once."""
    used = client.info("memory")["used_memory"] / 2**20
    return Look(time.monotonic() - began, memory(workers.pids), used, client.dbsize())


def soak(minutes: float, entities: int) -> tuple[list[Look], int]:
    """Run one wave after the other; gives what was seen, and how many waves there were."""
    names = {f"shop{n:05}": {"city": f"city{n % CITIES}"} for n in range(entities)}
    env = {"PIPELINE_MIN_TTL": f"{KEPT}s", "PIPELINE_WAVE_TTL": f"{KEPT}s"}
    flow, looks, waves = load_flows([FLOWS])["soak"], [], 0
    with EmbeddedRedis() as redis, Workers(redis.url, flows=[FLOWS], count=2, env=env) as workers:
        workers.wait_ready()
        runtime = Runtime(Settings(redis_url=redis.url, version="main", min_ttl=KEPT, wave_ttl=KEPT))
        began = next_look = time.monotonic()
        while time.monotonic() - began < minutes * 60:
            date = START + timedelta(hours=waves % HOURS)
            submit_wave(flow, date, entities=names, expiry=EXPIRY, runtime=runtime).wait(60)
            waves += 1
            time.sleep(max(0.0, began + waves * PACE - time.monotonic()))
            if time.monotonic() >= next_look:
                next_look += EVERY
                looks.append(look(began, workers, runtime.client))
    return looks, waves


def figures(looks: Sequence[Look], waves: int, entities: int) -> dict[str, Any]:
    """Compare the second minute with the last one."""
    end = looks[-1].seconds
    early = [found for found in looks if 60 <= found.seconds < 120]
    late = [found for found in looks if found.seconds >= end - 60]
    found: dict[str, Any] = {"minutes": end / 60, "waves": waves, "entities": entities}
    for name in ("workers_mb", "redis_mb", "keys"):
        first, last = (mean(getattr(one, name) for one in part) for part in (early, late))
        found |= {f"{name}_first": first, f"{name}_last": last, f"{name}_growth": last / first - 1}
    return found


def grown(found: Mapping[str, Any]) -> list[str]:
    """Name what has grown."""
    return [name for name in ("workers_mb_growth", "redis_mb_growth") if found[name] > GROWTH]


@click.command()
@click.option("--minutes", default=10.0, show_default=True, help="how long; at least 3")
@click.option("--entities", default=1000, show_default=True, help="entities of each wave")
@click.option("--json", "path", type=click.Path(path_type=Path), help="file for the figures")
def main(minutes: float, entities: int, path: Path | None) -> None:
    """Run one wave after the other, and watch the memory of workers and of Redis."""
    found = figures(*soak(max(minutes, 3.0), entities), entities)
    for name, value in found.items():
        click.echo(f"{name:>18}  {value:.4g}" if isinstance(value, float) else f"{name:>18}  {value}")
    if path:
        path.write_text(json.dumps(found, indent=1) + "\n")
    if bad := grown(found):
        click.echo(f"grown by more than {GROWTH:.0%}: {', '.join(bad)}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
