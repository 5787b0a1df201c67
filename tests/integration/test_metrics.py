"""Metrics, as Prometheus would read them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.parser import text_string_to_metric_families

from pipeline import Flow, State, submit_wave, task
from pipeline.flows.discover import load_flows
from pipeline.local.processes import Workers
from pipeline.monitoring.metrics import FLOWS_SHOWN, WaveCollector
from pipeline.monitoring.observe import observe
from pipeline.settings import Settings
from pipeline.waves.first_seen import first_seen
from pipeline.waves.runtime import Runtime
from tests.support.breakable_redis import BreakableRedis
from tests.support.servers import until

FAULTS = str(Path(__file__).parent / "flows" / "faults.py")
ENTITIES = {name: {"country": "x"} for name in ("bad1", "bad2", *(f"good{n}" for n in range(9)))}

Scrape = dict[tuple[str, frozenset[str]], float]


@task
def single(entity: str) -> int:
    return 1


hourly = Flow("hourly", [single], state=State("nobody", source=list), schedule="5 * * * *")


@pytest.fixture
def runtime(redis_url: str) -> Runtime:
    return Runtime(Settings(redis_url=redis_url, version="main"))


def key(name: str, *labels: str) -> tuple[str, frozenset[str]]:
    """Give what a sample is found by: its name and its labels' values, in any order."""
    return name, frozenset(labels)


def scraped(runtime: Runtime, *flows: Flow) -> Scrape:
    """Give the samples of a scrape."""
    registry = CollectorRegistry()
    registry.register(WaveCollector(runtime, flows))
    text = generate_latest(registry).decode()
    return {
        key(sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@pytest.fixture
def ended(redis_url: str, runtime: Runtime) -> Iterator[Scrape]:
    """Give what is scraped after a wave with failures, while its worker is there."""
    flow = load_flows([FAULTS])["breaking"]
    runtime.client.set("break", 1)
    runtime.states.bind(flow.state).update(ENTITIES)
    with Workers(redis_url, flows=[FAULTS], count=1) as workers:
        workers.wait_ready()
        submit_wave(flow, date="2026-04-01T07", runtime=runtime).wait(30)
        until(lambda: scraped(runtime)[key("waves_queue_slots", "main.compute")], 20)
        yield scraped(runtime)


def test_a_wave_is_counted_by_task_status_and_reason(ended):
    flow = ("main", "breaking")
    assert ended[key("waves_up")] == 1
    assert ended[key("waves_entity_tasks_total", *flow, "fragile", "failed", "error")] == 2
    assert ended[key("waves_entity_tasks_total", *flow, "fragile", "finished", "")] == 9
    assert ended[key("waves_entity_tasks_total", *flow, "doubled", "skipped", "missing input")] == 2
    assert ended[key("waves_entity_tasks_total", *flow, "pooled", "failed", "error")] == 0
    assert ended[key("waves_newest_entities", *flow, "fragile", "failed")] == 2
    assert ended[key("waves_newest_entities", *flow, "doubled", "skipped")] == 2
    assert ended[key("waves_incidents_total", *flow, "lost")] == 0
    assert ended[key("waves_ended_total", *flow, "done", "false")] == 1
    assert ended[key("waves_wave_seconds_count", *flow)] == 1
    assert ended[key("waves_wave_seconds_bucket", *flow, "+Inf")] == 1
    assert ended[key("waves_work_seconds_total", *flow, "fragile")] > 0
    assert ended[key("waves_run_seconds_count", *flow, "fragile")] == 1
    assert ended[key("waves_queue_slots", "main.compute")] == 1
    assert ended[key("waves_processes", "main", "worker")] == 1
    assert ended[key("waves_redis_memory_bytes", "control")] > 0
    assert ended[key("waves_store_memory_bytes")] > 0


def test_what_waits_is_told_in_messages_and_in_seconds(runtime):
    flow = load_flows([FAULTS])["breaking"]
    runtime.states.bind(flow.state).update(ENTITIES)
    submit_wave(flow, date="2026-04-01T07", runtime=runtime)
    found = scraped(runtime)
    assert found[key("waves_queue_messages", "main.collect", "queued")] == 1
    assert found[key("waves_backlog_seconds", "main.collect")] == runtime.settings.shard_seconds
    assert found[key("waves_queue_slots", "main.collect")] == 0
    assert found[key("waves_open", "main", "breaking")] == 1
    assert found[key("waves_deadlines")] > 0


def test_a_flow_is_late_from_the_minute_in_which_its_oldest_missing_wave_was_due(runtime):
    now = datetime.now(UTC)
    first_seen(runtime.client, [("main", "hourly")], now.timestamp() - 86400)
    (standing,) = observe(runtime, [hourly]).standings
    assert standing.due is not None
    assert 0 <= standing.late - (now - standing.due).total_seconds() < 60
    assert scraped(runtime, hourly)[key("waves_late_seconds", "main", "hourly")] >= standing.late
    three_hours_ago = standing.due - timedelta(hours=3)
    submit_wave(hourly, date=three_hours_ago.replace(minute=0), runtime=runtime)
    (standing,) = observe(runtime, [hourly]).standings
    assert standing.late == pytest.approx((now - standing.due).total_seconds() + 2 * 3600, abs=120)
    submit_wave(hourly, date=standing.due.replace(minute=0), runtime=runtime)
    assert scraped(runtime, hourly)[key("waves_late_seconds", "main", "hourly")] == 0


def test_a_redis_that_does_not_answer_is_a_metric_and_no_error():
    with BreakableRedis() as server:
        runtime = Runtime(Settings(redis_url=server.url, version="main"), patience=0.1)
        assert scraped(runtime)[key("waves_up")] == 1
        server.kill()
        assert scraped(runtime) == {key("waves_up"): 0}


def test_flows_beyond_the_limit_are_left_out_and_counted(runtime):
    with runtime.client.pipeline() as pipe:
        for n in range(FLOWS_SHOWN + 3):
            pipe.sadd("totals", f"branch-{n:03}/flow")
            pipe.hset(f"totals:branch-{n:03}/flow", "@waves done", 1)
        pipe.execute()
    found = scraped(runtime)
    assert found[key("waves_flows_left_out")] == 3
    assert sum(name == "waves_ended_total" for name, _ in found) == FLOWS_SHOWN


def test_other_packages_add_theirs(runtime):
    def more(of: Runtime, flows: object) -> list[GaugeMetricFamily]:
        assert of is runtime
        return [GaugeMetricFamily("waves_cover_hours", "Cover.", value=7)]

    names = {metric.name: metric for metric in WaveCollector(runtime, more=[more]).collect()}
    assert names["waves_cover_hours"].samples[0].value == 7
