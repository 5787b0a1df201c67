"""The demo as a person starts and stops it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest
from redis import Redis

COMMAND = "from tasks.demo import demo; demo(['--days', '20'], prog_name='wave demo')"


def start(**env: str) -> subprocess.Popen[str]:
    """Start the demo with a Redis of its own, unless the environment names one."""
    inherited = {name: value for name, value in os.environ.items() if name != "REDIS_URL"}
    return subprocess.Popen(
        [sys.executable, "-u", "-c", COMMAND],
        env=inherited | {"COLUMNS": "200"} | env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.fixture
def stop() -> Iterator[list[subprocess.Popen[str]]]:
    """Kills what a test that failed left running."""
    started: list[subprocess.Popen[str]] = []
    yield started
    for process in started:
        process.kill()
        process.communicate()


def workers_of(process: subprocess.Popen[str]) -> list[int]:
    """Read on until the demo has named its workers."""
    assert process.stdout is not None
    said = ""
    for line in process.stdout:
        said += line
        if found := re.search(r"process ids (\d+), (\d+)", line):
            return [int(pid) for pid in found.groups()]
    pytest.fail(f"the demo ended without workers: {said}")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_demo_that_is_stopped_leaves_no_process(number: int, stop: list[subprocess.Popen[str]]):
    process = start()
    stop.append(process)
    workers = workers_of(process)
    process.send_signal(number)
    said, _ = process.communicate(timeout=60)
    assert "Stopped. Nothing is left running." in said
    for pid in workers:
        with pytest.raises(ProcessLookupError):
            os.killpg(pid, 0)


def test_on_a_redis_of_yours_a_stopped_demo_leaves_no_wave_and_no_pipe(
    redis_url: str, redis_client: Redis, stop: list[subprocess.Popen[str]]
):
    process = start(REDIS_URL=redis_url)
    stop.append(process)
    workers_of(process)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    left = [key.decode() for key in redis_client.scan_iter()]
    assert [key for key in left if "demo" in key] == []
    assert redis_client.zcard("deadlines") == redis_client.zcard("waves") == 0
