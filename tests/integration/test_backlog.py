"""After an outage of the workers: what has expired meanwhile is cleared, not run."""

from __future__ import annotations

import time
from pathlib import Path

from pipeline import submit_wave
from pipeline.discover import load_flows
from pipeline.processes import Workers
from pipeline.runtime import Runtime
from pipeline.settings import Settings
from tests.servers import until

GRAPHS = str(Path(__file__).parent / "flows" / "graphs.py")
MESSAGES = 10_000


def test_ten_thousand_stale_messages_are_cleared_in_seconds_and_none_is_run(redis_url):
    settings = Settings(redis_url=redis_url, version="main", shard_size=1, shard_max=1)
    runtime, flow = Runtime(settings), load_flows([GRAPHS])["twelve"]
    first = next(iter(flow.tasks))
    entities = {f"shop{n:05}": {"city": "x"} for n in range(MESSAGES)}
    date = "2026-04-01T07"
    wave = submit_wave(flow, date=date, entities=entities, only=[first], expiry="1s", runtime=runtime)
    queue = wave.spec.queue(first)
    assert runtime.client.llen(queue) == MESSAGES
    until(lambda: time.time() > wave.info().expires, 10)
    with Workers(redis_url, flows=[GRAPHS], count=1, concurrency=2) as workers:
        workers.wait_ready()
        until(lambda: not runtime.client.llen(queue) and not runtime.client.hlen("unacked"), 60)
    assert wave.info().reason == "expired"
    assert wave.progress().tasks[first] == {"skipped: expired": MESSAGES}
    assert not runtime.client.exists(f"trace {date}"), "something was run"
