"""What real workers write."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pipeline import submit_wave
from pipeline.flows.discover import load_flows
from pipeline.local.processes import Workers, worker_command, worker_env
from pipeline.settings import Settings
from pipeline.waves.runtime import Runtime

TALKING = str(Path(__file__).parent / "flows" / "talking.py")
WAVE = "main/talking 2026-04-01T07"
FIELDS = {"wave": WAVE, "flow": "talking", "version": "main"}

SHUTDOWN = ("", "worker: Warm shutdown (MainProcess)")  # Celery writes it past all logging

Lines = list[dict[str, Any]]


@pytest.fixture
def runtime(redis_url: str) -> Runtime:
    found = Runtime(Settings(redis_url=redis_url, version="main", shard_size=100))
    found.states.bind("shops").update({f"shop-{n:04}": {} for n in range(1, 201)})
    return found


def run(runtime: Runtime, env: dict[str, str], *options: str) -> str:
    """Run a wave; gives what its worker wrote."""
    url = runtime.settings.redis_url
    with Workers(url, [TALKING], env=env, options=options) as workers:
        workers.wait_ready()
        flow = load_flows([TALKING])["talking"]
        submit_wave(flow, date="2026-04-01T07", runtime=runtime).wait(30)
        workers.stop()
        log = workers.children[0].log
        assert log is not None
        return log.read_text()


@pytest.fixture
def lines(runtime: Runtime) -> Lines:
    """Every line of a worker, each of which is JSON."""
    text = run(runtime, {"PIPELINE_LOG": ""}, "-l", "INFO")
    return [json.loads(line) for line in text.splitlines() if line not in SHUTDOWN]


def test_each_line_of_a_run_says_what_it_is_about(lines: Lines):
    assert all({"timestamp", "level", "logger", "event", "version"} <= line.keys() for line in lines)
    (own,) = [line for line in lines if line["logger"] == "users.own"]
    assert own["event"] == "strange shop-0007"  # from a thread of the task's own
    assert own.items() >= (FIELDS | {"task": "source", "shard": "0"}).items()
    printed = [line for line in lines if line["event"] == "doubling"]
    assert len(printed) == 180
    assert all(line.items() >= (FIELDS | {"task": "doubled"}).items() for line in printed)
    assert {line["shard"] for line in printed} == {"0", "1"}
    (ended,) = [line for line in lines if line["event"] == "wave has ended"]
    assert ended.items() >= FIELDS.items()


def test_an_error_is_told_once_a_run_with_how_often_it_came(lines: Lines):
    told = [line for line in lines if line["event"] == "entities failed"]
    by_task = {}
    for line in told:
        by_task.setdefault(line["task"], []).append(line)
    assert {task: len(its) for task, its in by_task.items()} == {"source": 2, "broken": 2}
    first = next(line for line in by_task["source"] if line["shard"] == "0")
    assert (first["count"], first["level"]) == (10, "warning")
    assert re.fullmatch(
        r"ConnectionError: no data for shop-\d{3}0 \(talking.py:\d+, in source\)", first["error"]
    )
    assert first["first"] in first["error"]
    assert [line["count"] for line in by_task["broken"]] == [90, 90]


def test_text_is_for_people_where_it_is_asked_for(runtime):
    text = run(runtime, {"PIPELINE_LOG": "text"})
    assert re.search(r"\[warning *\] entities failed +\[pipeline\.attempt\] count=10 error=", text)
    assert "\x1b" not in text


def test_a_terminal_gets_text(redis_url):
    here, there = pty.openpty()
    env = os.environ | worker_env(redis_url, ["nowhere_at_all"], "main") | {"PIPELINE_LOG": ""}
    script = (
        "import logging; from pipeline.telemetry import logs; logs.set_up(); "
        "logs.get_logger('x').warning('hello', wave='main/a 2026-01-01T00')"
    )
    subprocess.run([sys.executable, "-c", script], stderr=there, env=env, check=True, timeout=30)
    os.close(there)
    text = os.read(here, 10_000).decode()
    os.close(here)
    assert "hello" in text
    assert not text.startswith("{")


def test_a_worker_refuses_a_form_that_is_none(redis_url):
    env = os.environ | worker_env(redis_url, [TALKING], "main") | {"PIPELINE_LOG": "xml"}
    command = worker_command("main", 1, None, "solo")
    ended = subprocess.run(command, capture_output=True, text=True, env=env, timeout=60)
    assert ended.returncode != 0
    assert "PIPELINE_LOG='xml' is not a way to write logs. Give json or text." in ended.stderr
