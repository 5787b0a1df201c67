"""Code that asks for the end of its process fails where it stands, in every pool: no worker and no neighbour ends."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline import Wave, submit_wave
from pipeline.flows.discover import load_flows
from pipeline.local.processes import Workers, worker_command, worker_env
from pipeline.settings import Settings
from pipeline.testing import run_wave
from pipeline.waves.runtime import Runtime

FLOWS = str(Path(__file__).parent / "flows" / "exits.py")
TEXTS = {
    "exit": "SystemExit: 3 (exits.py:",
    "text": "SystemExit: no licence (exits.py:",
    "bare": "SystemExit: no message (exits.py:",
    "argparse": "SystemExit: 2 (exits.py:",
    "quit": "SystemExit: no message (exits.py:",
    "interrupt": "KeyboardInterrupt: no message (exits.py:",
    "generator": "GeneratorExit: closed (exits.py:",
    "cancelled": "CancelledError: no message (exits.py:",
    "own": "Ends: of the user's own (exits.py:",
    "executor": "SystemExit: from an executor (exits.py:",
}
FINE = ["first", "thread", "last"]
OURS = {
    "quit",
    "thread",
}  # what a test's own process minds: its input is closed, a thread of it ends otherwise
KEYS = ["first", *TEXTS, *FINE[1:]]


@pytest.fixture(scope="module")
def flows():
    return load_flows([FLOWS])


@pytest.fixture(params=["prefork", "threads", "solo"])
def workers(request, redis_url) -> Iterator[Workers]:
    with Workers(redis_url, flows=[FLOWS], pool=request.param, concurrency=1, patience=3) as found:
        found.wait_ready()
        yield found


@pytest.fixture
def runtime(redis_url) -> Runtime:
    return Runtime(Settings(redis_url=redis_url, version="main"))


def check(wave) -> None:
    for name in ("each", "threaded", "whole"):
        statuses, errors = wave.statuses(name), wave.errors(name)[name]
        assert {key for key, found in statuses.items() if str(found) == "finished"} == statuses.keys() & set(
            FINE
        ), name
        for key in statuses.keys() - set(FINE):
            text = TEXTS[key]
            assert str(statuses[key]) == "failed: error"
            assert errors[key].startswith(text), (name, key)
    assert wave.errors("scoped")["scoped"]["@all"].startswith("SystemExit: no licence for all (exits.py:")
    after = wave.statuses("after")
    assert {key for key, found in after.items() if str(found) == "finished"} == after.keys() & set(FINE)


def test_an_exit_is_the_error_of_its_entity_in_a_moment_and_no_process_ends(runtime, workers, flows):
    began = time.monotonic()
    wave = submit_wave(flows["exits"], date="2026-05-01T07", entities=KEYS, runtime=runtime).wait(60)
    check(wave)
    assert wave.info().lost == 0
    assert time.monotonic() - began < 10
    assert not workers.ended()


def test_it_is_so_where_a_wave_runs_in_this_process(flows):
    check(run_wave(flows["exits"], [key for key in KEYS if key not in OURS], "2026-05-01T07"))


def test_a_source_that_exits_is_an_error_that_names_its_state(runtime, flows):
    wave = submit_wave(flows["unlisted"], date="2026-05-01T07", runtime=runtime)
    why = "the source of state 'unlisted' raised SystemExit: the list is closed"
    assert [why in text for text in wave.left_out().reasons.values()] == [True]
    assert wave.spec.entities == 1  # what it gave before counts


def test_the_command_shows_where_it_stood(redis_url):
    words = ["-F", FLOWS, "run", "exits", "-e", "text", "--at", "2026-05-01T07", "--task", "each"]
    done = subprocess.run(
        [sys.executable, "-m", "pipeline.cli", *words],
        env={**os.environ, "REDIS_URL": redis_url, "PIPELINE_VERSION": "main"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "SystemExit: no licence" in done.stdout
    assert "in throw" in done.stdout


def test_a_worker_whose_flows_exit_when_imported_says_which_and_does_not_start(redis_url, tmp_path):
    path = tmp_path / "leaving.py"
    path.write_text("import sys\nsys.exit('no licence')\n")
    done = subprocess.run(
        worker_command("main", 1, None, "prefork"),
        env={**os.environ, **worker_env(redis_url, [str(path)], "main")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert f"wave: importing {str(path)!r} raised SystemExit: no licence. It is run by" in done.stderr


def test_a_task_that_waits_for_a_wave_in_its_own_slot_is_told_so(runtime, workers, flows):
    wave = submit_wave(flows["nested"], date="2026-05-01T08", entities=["a"], runtime=runtime).wait(30)
    inner = wave.result("submits", "a")
    assert wave.errors("waits")["waits"]["a"].startswith(
        f"WaveError: task 'waits' waits for wave {inner!r} in its own slot, which that wave may need to end. "
    )
    assert Wave.find(inner, runtime).wait(30).progress().ended == 5
