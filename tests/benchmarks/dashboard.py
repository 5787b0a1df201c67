"""How soon the dashboard answers: an overview of 200 waves with their cover, a page of a state of 100,000 entities.

python -m tests.benchmarks.dashboard [--json F] [--strict]
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import click
import httpx
from fastapi import FastAPI

from forecasting.reading.flow_cover import flow_covers
from pipeline import Flow, State, submit_wave, task
from pipeline.dashboard.routes import Dashboard
from pipeline.flows.discover import Flows
from pipeline.flows.pipe import floor
from pipeline.local.embedded import EmbeddedRedis
from pipeline.monitoring.cover import Covers
from pipeline.settings import Settings
from pipeline.waves.runtime import Runtime
from tests.support.sites import served

WAVES, FLOWS, ENTITIES = 200, 10, 100_000
TIMES = 15
LIMIT = 0.2  # seconds
PAGES = {
    "overview_s": "/",
    "wave_s": "/wave?id=main/flow0 2026-10-01T00",
    "entities_s": "/state?name=many&page=700",
    "search_s": "/state?name=many&q=99",
    "entity_s": "/entity?flow=flow0&key=shop-000001",
}


@task
def sales(entity: str) -> int:
    return 1


@task
def demand(sales: int) -> dict[str, object]:
    return {"mean": [sales] * 24, "of": "sales"}


def flows() -> Flows:
    """Give the flows, over one state."""
    few = State("few", partition_by="city")
    return Flows(Flow(f"flow{n}", [sales, demand], state=few) for n in range(FLOWS))


def fill(runtime: Runtime, made: Mapping[str, Flow]) -> None:
    """Submit the waves, and add the entities."""
    runtime.states.bind("few").update({f"shop-{n:06}": {"city": f"c{n % 4}"} for n in range(2000)})
    runtime.states.bind("many").update({f"shop-{n:06}": {"city": f"c{n % 4}"} for n in range(ENTITIES)})
    for n in range(WAVES):
        hour = n // FLOWS
        submit_wave(made[f"flow{n % FLOWS}"], date=f"2026-10-01T{hour:02}", runtime=runtime)
    # Forecasts of this hour, so that the overview has a cover to tell of each flow.
    told = {f"shop-{n:06}": {"mean": [1.0] * 24, "of": "sales"} for n in range(2000)}
    runtime.store.put("main", "demand", floor(datetime.now(UTC)), told, 1e9)


def measure() -> Iterator[tuple[str, float]]:
    """Give the median of some answers, and the first one of each page, when nothing is remembered."""
    with EmbeddedRedis() as redis:
        runtime, made = Runtime(Settings(redis_url=redis.url, version="main")), flows()
        fill(runtime, made)
        app = FastAPI()
        covers = Covers(runtime, made.values(), [flow_covers])
        assert len(covers.known(60)) == FLOWS
        app.include_router(Dashboard(runtime, made, covers=covers).router())
        with served(app) as address, httpx.Client(base_url=address) as client:
            for name, path in PAGES.items():
                took = []
                for _ in range(TIMES):
                    began = time.perf_counter()
                    assert client.get(path).status_code == 200
                    took.append(time.perf_counter() - began)
                yield name, median(took)
                yield f"{name[:-2]}_first_s", took[0]


@click.command()
@click.option("--json", "path", type=click.Path(path_type=Path), help="file for the figures")
@click.option("--strict", is_flag=True, help=f"exit code 1 if a median is over {LIMIT:g} s")
def main(path: Path | None, strict: bool) -> None:
    """Measure the dashboard's pages."""
    found = {}
    for name, seconds in measure():
        found[name] = seconds
        click.echo(f"{name:>18}  {seconds * 1000:6.1f} ms")
    if path:
        path.write_text(json.dumps(found, indent=1) + "\n")
    if strict and any(found[name] > LIMIT for name in PAGES):
        sys.exit(1)


if __name__ == "__main__":
    main()
