"""One maker a pipe over a real Redis, where the processes that submit know nothing of each other's flows."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline import Flow, FlowError, Runtime, Settings, State, submit_wave, task

TASK = """\
from pipeline import Flow, State, submit_wave, task

@task
def value(entity):
    return 1.0
"""


@pytest.fixture
def run(redis_url, tmp_path):
    """What runs a script in a process of its own, and returns the last line of what it says."""
    environ = {k: v for k, v in os.environ.items() if not k.startswith("PIPELINE_")}
    environ |= {"REDIS_URL": redis_url, "PIPELINE_VERSION": "main", "PIPELINE_WAVE_TTL": "600"}
    environ["PYTHONPATH"] = f"{tmp_path}:{Path(__file__).parents[2]}"

    def call(name: str, text: str, **more: str) -> str:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        done = subprocess.run(
            [sys.executable, path],
            env=environ | more,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        return (done.stdout if done.returncode == 0 else done.stderr).strip().rpartition("\n")[2]

    return call


def flow(name: str, state: str = "None") -> str:
    return f"print(submit_wave(Flow({name!r}, [value], {state}), '2013-06-25T13', entities=['a']))\n"


def test_a_process_is_refused_a_pipe_that_another_process_makes_otherwise(run, tmp_path):
    assert run("one.py", TASK + flow("one")).startswith("Wave(")
    text = run("two.py", TASK + flow("two"))
    assert re.sub(r"until \S+ \S+ UTC", "until then", text) == (
        f"pipeline.errors.FlowError: the pipe 'value' has two makers: a task of flow 'one' ({tmp_path}/one.py:3) and "
        f"another of flow 'two' ({tmp_path}/two.py:3). The second would be given what the first has stored. Rename "
        "one, or share one task between the flows. (Flow 'one' was submitted by another process; unless it is again, "
        "this holds until then. Another version is free of it.)"
    )
    assert run("two.py", TASK + flow("two"), PIPELINE_VERSION="fix").startswith("Wave(")


def test_flows_of_two_processes_may_share_a_task(run):
    run("common.py", TASK)
    assert run("one.py", "from common import *\n" + flow("one")).startswith("Wave(")
    assert run("two.py", "from common import *\n" + flow("two")).startswith("Wave(")


def test_a_process_that_knows_both_flows_may_move_their_task(run):
    run("common.py", TASK)
    run("one.py", "from common import *\n" + flow("one"))
    run("moved.py", TASK)
    both = "from moved import *\nother = Flow('one', [value])\n" + flow("two")
    assert run("two.py", both).startswith("Wave(")
    assert run("three.py", "from moved import *\n" + flow("three")).startswith("Wave("), "noted anew"
    assert "two makers" in run("old.py", "from common import *\n" + flow("four"))


def test_a_note_ends_with_the_wave_ttl_of_who_made_it(run, redis_client):
    run("one.py", TASK + flow("one"))
    assert 0 < redis_client.ttl("makers:main") <= 600
    assert "two makers" in run("two.py", TASK + flow("two"))
    note = redis_client.hget("makers:main", "one")
    redis_client.hset("makers:main", "one", re.sub(rb'"until":\d+', b'"until":1', note))
    assert run("two.py", TASK + flow("two")).startswith("Wave(")


def test_a_note_that_cannot_be_read_stops_nobody(run, redis_client):
    redis_client.hset(
        "makers:main", mapping={"one": b"\xff{", "three": b"[]", "four": b'{"until":"x","pipes":1}'}
    )
    assert run("two.py", TASK + flow("two")).startswith("Wave(")


def test_states_of_two_processes_are_held_against_each_other(run):
    state = "State('shops', ttl='7d')"
    run("common.py", TASK)
    shared = "from common import *\n"
    assert run("one.py", shared + flow("one", state)).startswith("Wave(")
    assert run("same.py", shared + flow("same", state)).startswith("Wave(")
    assert run("bare.py", shared + flow("bare", "'shops'")).startswith("Wave(")
    text = run("two.py", shared + flow("two", "State('shops', ttl='8d')"))
    assert "the state 'shops' has two definitions: of flow " in text
    assert "Another version is free of it" in text


# In one process


@pytest.fixture
def runtime(redis_url):
    return Runtime(Settings(redis_url=redis_url, version="main"))


def made(number):
    @task(name="value")
    def answer(entity):
        return number

    return answer


def test_a_script_that_submits_two_flows_is_refused_the_second(runtime):
    submit_wave(Flow("one", [made(1)]), entities=["a"], runtime=runtime)
    two = Flow("two", [made(2)])
    with pytest.raises(
        FlowError, match=r"'value' has two makers: a task of flow 'one' \(.*test_makers.py:\d+"
    ):
        submit_wave(two, entities=["a"], runtime=runtime)
    assert runtime.records.ids(flow="two") == [], "nothing of it was written"


def test_a_flow_that_changed_its_task_is_the_maker_still(runtime):
    submit_wave(Flow("one", [made(1)]), "2013-06-25T13", entities=["a"], runtime=runtime)
    submit_wave(Flow("one", [made(2)]), "2013-06-25T14", entities=["a"], runtime=runtime)


def test_of_a_part_of_a_flow_only_what_is_run_counts(runtime):
    @task
    def other(entity):
        return 1

    submit_wave(Flow("one", [made(1)]), entities=["a"], runtime=runtime)
    both = Flow("two", [made(2), other])
    submit_wave(both, entities=["a"], only=["other"], runtime=runtime)
    with pytest.raises(FlowError, match="'value' has two makers"):
        submit_wave(both, entities=["a"], runtime=runtime)


def test_a_state_given_at_submission_is_not_defined_otherwise(runtime):
    mine = Flow("one", [made(1)], State("shops", ttl="7d"))
    with pytest.raises(FlowError, match="the state 'shops' has two definitions"):
        submit_wave(mine, state=State("shops", ttl="8d"), entities=["a"], runtime=runtime)
