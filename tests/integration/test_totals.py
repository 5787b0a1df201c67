"""Totals of all waves of a flow, as the gate keeps them."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline import submit_wave
from pipeline.flows.discover import load_flows
from pipeline.gate.flow_totals import Histogram, read_totals
from pipeline.local.processes import Workers
from pipeline.settings import Settings
from pipeline.waves.runtime import Runtime

FAULTS = str(Path(__file__).parent / "flows" / "faults.py")
ENTITIES = {name: {"country": "x"} for name in ("bad1", "bad2", *(f"good{n}" for n in range(9)))}


@pytest.fixture
def runtime(redis_url: str) -> Runtime:
    return Runtime(Settings(redis_url=redis_url, version="main"))


def test_what_became_of_waves_is_summed_up_once_and_a_retry_adds_what_is_new(redis_url, runtime):
    flows = load_flows([FAULTS])
    with Workers(redis_url, flows=[FAULTS], count=1) as workers:
        workers.wait_ready()
        runtime.client.set("break", 1)
        wave = submit_wave(flows["breaking"], date="2026-04-01T07", entities=ENTITIES, runtime=runtime)
        wave.wait(30)
        (found,) = read_totals(runtime.client)
        assert (found.version, found.flow) == ("main", "breaking")
        assert found.entities["fragile", "finished", ""] == 9
        assert found.entities["fragile", "failed", "error"] == 2
        assert found.entities["doubled", "skipped", "missing input"] == 2
        assert found.waves == {("done", False): 1}
        assert found.took.count == 1
        assert found.runs["fragile"].count == len(wave.spec.sizes)
        assert found.work["fragile"] > 0

        runtime.client.delete("break")
        wave.retry().wait(30)
        (found,) = read_totals(runtime.client)
        assert found.entities["fragile", "finished", ""] == 9 + 2
        assert found.entities["fragile", "failed", "error"] == 2
        assert found.waves == {("done", False): 2}
        assert found.took.count == 1, "from its submission to its first end"

        submit_wave(
            flows["breaking"], date="2026-03-01T07", entities=ENTITIES, backfill=True, runtime=runtime
        ).wait(30)
    (found,) = read_totals(runtime.client)
    assert found.waves == {("done", False): 2, ("done", True): 1}
    assert found.took.count == 1


def test_what_a_wave_left_open_counts_as_expired_or_cancelled(runtime):
    flow = load_flows([FAULTS])["breaking"]
    for hour, reason in (("07", "cancelled"), ("08", "expired")):
        wave = submit_wave(flow, date=f"2026-04-01T{hour}", entities=ENTITIES, runtime=runtime)
        runtime.gate.close(wave.id, reason, wave.spec.units)
    (found,) = read_totals(runtime.client)
    assert found.entities == {
        (task, "skipped", reason): len(ENTITIES)
        for task in ("fragile", "doubled", "pooled")
        for reason in ("cancelled", "expired")
    }


def test_totals_that_redis_has_forgotten_are_left_out(runtime):
    runtime.client.sadd("totals", "old/gone")
    assert read_totals(runtime.client) == []
    assert not runtime.client.exists("totals")


def test_a_histogram_is_cumulated_up_to_infinity():
    found = Histogram((1, 3), (5, 0, 2), 20.0)
    assert found.count == 7
    assert found.cumulated() == [(1, 5), (3, 5), (float("inf"), 7)]
