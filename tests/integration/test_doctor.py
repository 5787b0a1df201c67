"""`wave doctor` on a real Redis with workers and beat, and without."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from pipeline.cli import main
from pipeline.local.embedded import EmbeddedRedis
from pipeline.local.processes import Workers, celery_command, worker_env
from pipeline.waves.presence import present
from tests.support.servers import until

OUTAGES = str(Path(__file__).parent / "flows" / "outages.py")


@pytest.fixture
def doctor(monkeypatch):
    """`wave doctor` on a Redis, as version main; gives its exit code and its output."""

    def run(url: str, *words: str, store: str = "") -> tuple[int, str]:
        monkeypatch.setenv("PIPELINE_VERSION", "main")
        monkeypatch.setenv("REDIS_URL", url)
        monkeypatch.setenv("PIPELINE_STORE_URL", store)
        found = CliRunner().invoke(main, ["doctor", *words], prog_name="wave")
        assert found.exception is None or isinstance(found.exception, SystemExit), found.exception
        return found.exit_code, found.output

    return run


def levels(output: str) -> dict[str, str]:
    return {found["check"]: found["level"] for found in json.loads(output)}


def test_workers_and_beat_that_run_are_found_and_those_that_ended_are_not(doctor):
    with EmbeddedRedis({"appendonly": "yes"}) as server, server.client() as client:
        env = {"WITNESS": "/dev/null"}
        with Workers(server.url, flows=[OUTAGES], count=1, concurrency=1, env=env, patience=10) as workers:
            beat = celery_command("beat", "-l", "WARNING")
            workers.start("beat", beat, worker_env(server.url, [OUTAGES], "main") | env)
            workers.wait_ready(names=["worker1"])
            until(lambda: {p.kind for p in present(client)} == {"worker", "beat", "keeper"}, 40)
            (worker,) = [p for p in present(client) if p.kind == "worker"]
            assert worker.slots == 1
            assert set(worker.queues) == {"main.collect", "main.compute", "main.control", "main.solo"}
            code, output = doctor(server.url, "-F", OUTAGES, "--json")
            found = levels(output)
            assert code == 0, output
            assert set(found.values()) == {"OK"}, output
        assert present(client) == []
        code, output = doctor(server.url, "-F", OUTAGES)
        assert code == 1
        assert "FAIL  beat: none for version main: nobody starts forgotten" in output
        assert "WARN  queue main.collect: 0 workers, 0 slots" in output


def test_an_evicting_redis_without_persistence_fails_and_says_what_to_do(doctor):
    with EmbeddedRedis({"maxmemory": "64mb", "maxmemory-policy": "allkeys-lru"}) as server:
        code, output = doctor(server.url)
        assert code == 1
        assert "FAIL  eviction: allkeys-lru" in output
        assert "CONFIG SET maxmemory-policy noeviction" in output
        assert "WARN  persistence: none" in output
        assert server.url.split(":")[2].split("@")[0] not in output


def test_deadlines_that_nobody_keeps_fail(doctor, redis_url, redis_client):
    redis_client.zadd("deadlines", {"main/flow 2026-01-01T00 task 0": (time.time() - 60) * 1000})
    code, output = doctor(redis_url, "--json")
    found = levels(output)
    assert code == 1
    assert found["deadlines"] == found["keepers"] == "FAIL"


def test_a_store_of_its_own_is_looked_at_too(doctor, redis_url):
    with EmbeddedRedis() as apart:
        _, output = doctor(redis_url, "--json", store=apart.url)
        port = apart.url.rpartition(":")[2].partition("/")[0]
        assert levels(output)[f"store version (port {port})"] == "OK"


def test_a_redis_that_is_gone_is_said_so(doctor):
    code, output = doctor("redis://127.0.0.1:1/0")
    assert code == 2
    assert "Redis at redis://127.0.0.1:1/0 does not answer" in output
