"""What lies before the workers: how much it is, and what becomes of it after an outage."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from pipeline import submit_wave
from pipeline.flows.discover import load_flows
from pipeline.local.processes import Workers
from pipeline.monitoring.backlog import Backlog, backlogs
from pipeline.settings import Settings
from pipeline.waves.runtime import Runtime
from tests.support.servers import until

GRAPHS = str(Path(__file__).parent / "flows" / "graphs.py")
MESSAGES = 10_000
DATE = "2026-04-01T07"


@pytest.fixture
def runtime(redis_url) -> Runtime:
    return Runtime(Settings(redis_url=redis_url, version="main", shard_size=10, shard_max=10))


def fill(runtime: Runtime, name: str = "twelve") -> tuple[str, str]:
    """Submit a wave of one task over 40 entities in 4 shards; gives the task and its queue."""
    flow = load_flows([GRAPHS])[name]
    first = next(iter(flow.tasks))
    entities = {f"shop{n:05}": {"city": "x"} for n in range(40)}
    wave = submit_wave(flow, date=DATE, entities=entities, only=[first], runtime=runtime)
    return first, wave.spec.queue(first)


def test_work_that_was_never_measured_counts_as_what_a_shard_is_cut_to(runtime):
    _, queue = fill(runtime)
    assert backlogs(runtime, [queue]) == {queue: Backlog(queue, 4, 0, 4 * runtime.settings.shard_seconds)}


def test_a_backlog_is_what_earlier_waves_took(runtime):
    first, queue = fill(runtime)
    runtime.client.hset("costs:main/twelve", first, "5.0 100.0")
    assert backlogs(runtime, [queue])[queue].seconds == pytest.approx(40 * 0.05)


def test_all_priorities_and_what_workers_have_taken_are_counted(runtime):
    _, queue = fill(runtime)
    client = runtime.client
    client.lmove(queue, f"{queue}\x06\x163", "RIGHT", "LEFT")
    taken = client.lpop(queue)
    client.hset("unacked", "tag", b'[%s, "", "%s"]' % (taken, queue.encode()))
    client.hset("unacked", "other", b'[%s, "", "main.other"]' % taken)
    found = backlogs(runtime, [queue])[queue]
    assert (found.queued, found.in_flight, found.messages) == (3, 1, 4)
    assert found.seconds == 4 * runtime.settings.shard_seconds


def test_what_is_no_message_of_ours_is_counted_and_worth_nothing(runtime):
    client = runtime.client
    client.rpush("main.compute", "no json", "[]", '{"headers": {"task": "foreign"}}')
    client.hset("unacked", "tag", "no json")
    assert backlogs(runtime, ["main.compute", "main.none"]) == {
        "main.compute": Backlog("main.compute", 3, 0, 0.0),
        "main.none": Backlog("main.none", 0, 0, 0.0),
    }


def test_a_long_queue_is_measured_by_its_ends(runtime):
    _, queue = fill(runtime)
    for raw in runtime.client.lrange(queue, 0, -1):
        runtime.client.rpush(queue, *[raw] * 250)
    found = backlogs(runtime, [queue])[queue]
    assert found.queued == 4 + 1000
    assert found.seconds == pytest.approx(1004 * runtime.settings.shard_seconds)


@pytest.mark.timeout(600)  # a busy machine takes long to send them, and as long to clear them
def test_ten_thousand_stale_messages_are_cleared_in_seconds_and_none_is_run(redis_url):
    settings = Settings(redis_url=redis_url, version="main", shard_size=1, shard_max=1)
    runtime, flow = Runtime(settings), load_flows([GRAPHS])["twelve"]
    first = next(iter(flow.tasks))
    entities = {f"shop{n:05}": {"city": "x"} for n in range(MESSAGES)}
    began = time.monotonic()
    wave = submit_wave(flow, date=DATE, entities=entities, only=[first], expiry="1s", runtime=runtime)
    sent = time.monotonic() - began
    queue = wave.spec.queue(first)
    assert runtime.client.llen(queue) == MESSAGES
    until(lambda: time.time() > wave.info().expires, 10)
    with Workers(redis_url, flows=[GRAPHS], count=1, concurrency=2) as workers:
        workers.wait_ready()
        until(lambda: not runtime.client.llen(queue) and not runtime.client.hlen("unacked"), 30 + 3 * sent)
    assert wave.info().reason == "expired"
    assert wave.progress().tasks[first] == {"skipped: expired": MESSAGES}
    assert not runtime.client.exists(f"trace {DATE}"), "something was run"
