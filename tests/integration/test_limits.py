"""What is large or hostile: clear errors or right results, in bounded memory and time, and nothing lost.

LIMIT_ENTITIES=1000000 pytest tests/integration/test_limits.py -k state_of_many -s    the full size, some minutes
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline import Wave, submit_wave
from pipeline.errors import KeyFormatError, PipelineError
from pipeline.flows.discover import load_flows
from pipeline.flows.entity import MAX_KEY_BYTES
from pipeline.local.embedded import EmbeddedRedis
from pipeline.local.processes import Workers
from pipeline.settings import Settings
from pipeline.waves.runtime import Runtime

OUTAGES = str(Path(__file__).parent / "flows" / "outages.py")
COUNT = int(os.environ.get("LIMIT_ENTITIES", "20000"))

STRANGE = [
    "*",
    "{}",
    "{a}{b}",
    "?[a-z]\\",
    "'quoted'",
    '"double"',
    "';FLUSHALL;--",
    "../../etc/passwd",
    "%s%d%n",
    "${HOME}",
    "a=b&c;d,e|f",
    "<b>bold</b>",
    "naïve-Ωmega",
    "東京駅",
    "🚂🚋",
    "series",
    "None",
    "0",
    "-1",
    "1e309",
    "2026-05-01T07",
    "x" * MAX_KEY_BYTES,
    "é" * (MAX_KEY_BYTES // 2),
]
REFUSED = [
    "",
    " ",
    "a b",
    "tab\there",
    "line\nbreak",
    "nul\0",
    "@all",
    "@x",
    "\u200b",
    "\ud800",
    "\u00a0",
    "x" * 201,
]


@pytest.fixture(scope="module")
def flows():
    return load_flows([OUTAGES])


@pytest.fixture(scope="module")
def runtime(url: str) -> Runtime:
    return Runtime(Settings(redis_url=url, version="main", max_value=1_000_000))


@pytest.fixture(scope="module")
def workers(url: str) -> Iterator[Workers]:
    env = {"WITNESS": "/dev/null", "PIPELINE_MAX_VALUE": "1000000"}
    with Workers(url, flows=[OUTAGES], count=1, env=env, patience=5) as found:
        found.wait_ready()
        yield found


def check_all_finished(wave: Wave) -> None:
    assert wave.progress().count("finished") == wave.progress().total, wave.errors()


def test_entity_keys_of_any_printable_text_come_through_unchanged(runtime, workers, flows):
    wave = submit_wave(flows["keys"], date="2026-09-01T07", entities=STRANGE, runtime=runtime).wait(30)
    check_all_finished(wave)
    assert set(wave.statuses("again")) == set(STRANGE)
    for key in STRANGE:
        assert wave.result("again", key) == f"<{key}>" * 2
        assert runtime.store.get("main", "again", "2026-09-01T07", [key]) == {key: f"<{key}>" * 2}


def test_entities_and_partitions_of_a_state_may_be_named_by_any_printable_text(runtime, workers, flows):
    flow = flows["steps"]
    entities = {
        key: {"country": country} for key, country in zip(STRANGE, reversed(STRANGE[:-2]), strict=False)
    }
    runtime.states.bind(flow.state).clear()
    runtime.states.bind(flow.state).update(entities)
    wave = submit_wave(flow, date="2026-09-01T08", runtime=runtime).wait(30)
    check_all_finished(wave)
    assert set(wave.statuses("levelled")) == {f"@{found['country']}" for found in entities.values()}
    runtime.states.bind(flow.state).clear()


@pytest.mark.parametrize("key", REFUSED, ids=ascii)
def test_keys_that_would_break_others_are_refused_with_a_text(runtime, flows, key):
    with pytest.raises(KeyFormatError, match="entity key"):
        submit_wave(flows["keys"], date="2026-09-01T09", entities=[key], runtime=runtime)
    with pytest.raises(KeyFormatError, match="entity key"):
        runtime.states.bind(flows["steps"].state).add(key, country="x")
    assert not [wave_id for wave_id in runtime.records.ids() if "2026-09-01T09" in wave_id]


@pytest.mark.parametrize("name", ["a b", "", "tab\t", "\ud800", "x" * 500, None], ids=ascii)
def test_partitions_that_would_break_keys_are_refused_with_a_text(runtime, flows, name):
    with pytest.raises(PipelineError, match=r"country|partition|features of entity"):
        submit_wave(
            flows["steps"], date="2026-09-01T10", entities={"one": {"country": name}}, runtime=runtime
        )


def test_a_value_that_is_too_large_fails_its_entity_alone(runtime, workers, flows):
    entities = ["small1", "large1", "small2"]
    wave = submit_wave(flows["big"], date="2026-09-01T11", entities=entities, runtime=runtime).wait(30)
    found = wave.statuses("oversized")
    assert {key: str(status) for key, status in found.items()} == {
        "small1": "finished",
        "large1": "failed: error",
        "small2": "finished",
    }
    text = wave.errors("oversized")["oversized"]["large1"]
    assert "2,000,00" in text
    assert "1,000,000" in text
    assert str(wave.statuses("after_oversized")["large1"]) == "skipped: missing input"
    assert wave.result("after_oversized", "small2") == 10


SUBMIT = """
import json, resource, sys, time
from pipeline import submit_wave
from pipeline.flows.discover import load_flows
from pipeline.waves.runtime import Runtime
from pipeline.settings import Settings

url, flows, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
runtime, flow = Runtime(Settings(redis_url=url, version="main")), load_flows([flows])["steps"]
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
registry, began = runtime.states.bind(flow.state), time.monotonic()
for start in range(0, count, 50_000):
    stop = min(start + 50_000, count)
    registry.update({f"entity-{n:07}": {"country": f"c{n % 50}"} for n in range(start, stop)})
filled, before, began = time.monotonic() - began, peak(), time.monotonic()
wave = submit_wave(flow, date="2026-09-02T07", runtime=runtime)
took = time.monotonic() - began
began = time.monotonic()
progress = wave.progress()
look = time.monotonic() - began
print(json.dumps({
    "entities": wave.spec.entities, "shards": len(wave.spec.sizes), "fill_s": round(filled, 2),
    "submit_s": round(took, 2), "progress_s": round(look, 3), "before_mb": round(before), "peak_mb": round(peak()),
    "redis_mb": round(runtime.client.info("memory")["used_memory"] / 2**20),
    "messages": sum(runtime.client.llen(f"main.{kind}") for kind in ("collect", "compute")),
    "deadlines": runtime.client.zcard("deadlines"), "total": progress.total,
}))
"""


def test_a_wave_over_a_state_of_many_entities_is_submitted_in_bounded_memory_and_time():
    with EmbeddedRedis() as server:
        done = subprocess.run(
            [sys.executable, "-c", SUBMIT, server.url, OUTAGES, str(COUNT)],
            capture_output=True,
            text=True,
            timeout=600,
            env=os.environ | {"WITNESS": "/dev/null"},
            check=False,
        )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    print(found)
    thousands = COUNT / 1000
    assert found["entities"] == COUNT
    assert found["submit_s"] < 3 + 0.1 * thousands
    assert found["peak_mb"] - found["before_mb"] < 60 + 1.0 * thousands
    assert found["deadlines"] == found["shards"] + 1  # a first task a shard, and the wave's expiry
