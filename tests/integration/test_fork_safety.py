"""Models in workers' pools: a parent that has used OpenMP, and children that train and forecast."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline import submit_wave
from pipeline.flows.discover import load_flows
from pipeline.local.processes import celery_command, worker_env
from pipeline.local.supervise import Processes
from pipeline.settings import Settings
from pipeline.waves.runtime import Runtime

FLOWS = str(Path(__file__).parent / "flows" / "models.py")
DATE = "2026-04-01T07"


@pytest.fixture
def processes() -> Iterator[Processes]:
    with Processes(patience=5) as found:
        yield found


@pytest.mark.parametrize("pool", ["prefork", "threads", "solo"])
def test_children_train_and_forecast_although_their_parent_has_loaded_a_model(
    redis_url: str, processes: Processes, monkeypatch: pytest.MonkeyPatch, pool: str
):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    env = worker_env(redis_url, [FLOWS], "main")
    del env["OMP_NUM_THREADS"]  # Celery's own command, as somebody would type it
    processes.start("worker", celery_command("worker", "-P", pool, "-c", "2", "-l", "WARNING"), env)
    flow = load_flows([FLOWS])["models"]
    runtime = Runtime(Settings(redis_url=redis_url, version="main"))
    wave = submit_wave(flow, date=DATE, entities=["a", "b"], runtime=runtime).wait(60)
    assert {str(status) for status in wave.statuses("trained").values()} == {"finished"}
    found = json.loads(wave.result("trained", "a"))
    assert found == {"forked": pool == "prefork", "threads": "1", "same": True, "finite": True}
