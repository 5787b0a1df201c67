"""One entity by hand: run its tasks in this process, look at pipes, and keep the entities of states."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pipeline import Flow, State, task
from pipeline.errors import KeyFormatError, UnknownName
from pipeline.execution.replay import Replay
from pipeline.states import MemoryStates
from pipeline.store import MemoryStore, RedisStore

AT = datetime(2013, 6, 25, 13, tzinfo=UTC)
HOUR = ["--at", "2013-06-25T13"]
ROUTES = str(Path(__file__).parent / "flows" / "routes.py")


@pytest.fixture
def jfk(wave):
    """The command, with an entity in the state."""
    wave("state", "add", "routes", "JFK-LAX", "origin=JFK")
    return wave


def test_a_run_shows_inputs_and_values_of_each_task_and_writes_nothing(jfk, redis_client):
    before = set(redis_client.keys())
    said = jfk("run", "delays", "-e", "JFK-LAX", *HOUR).stdout
    assert re.search(r"^departures  [\d.]+ m?s\n  entity = 'JFK-LAX' in JFK, {'origin': 'JFK'}\n", said)
    assert "  date = 2013-06-25T13:00:00+00:00\n" in said
    assert "\n  departures = {'flights': 5, 'minutes': 60.0, 'origin': 'JFK'}\n  -> 12.0\n" in said
    assert "not run: no train at this date (train runs once a partition: -e @PARTITION --save)" in said
    assert set(redis_client.keys()) == before


def test_a_run_saves_what_it_made_when_asked_and_never_overwrites(jfk, redis_client):
    said = jfk("run", "delays", "-e", "JFK-LAX", *HOUR, "--task", "departures", "--save").stdout
    assert said.endswith("  saved\n")
    said = jfk("run", "delays", "-e", "JFK-LAX", *HOUR, "--task", "departures", "--save").stdout
    assert said.endswith("  not saved: there was a pipe already, which stays as it is\n")
    assert RedisStore(redis_client).get("main", "departures", AT, ["JFK-LAX"])


def test_a_task_alone_reads_its_inputs_from_the_store_or_the_base_version(jfk):
    alone = ["run", "delays", "-e", "JFK-LAX", *HOUR, "--task", "delay"]
    assert "not run: no departures at this date" in jfk(*alone).stdout
    jfk("run", "delays", "-e", "JFK-LAX", *HOUR, "--task", "departures", "--save")
    assert "-> 12.0" in jfk(*alone).stdout
    assert "not run" in jfk(*alone, "--version", "branch").stdout
    assert "-> 12.0" in jfk(*alone, "--version", "branch", "--base", "main").stdout


def test_the_tasks_of_a_scope_run_over_its_entities_and_others_read_their_pipe(jfk):
    jfk("run", "delays", "-e", "JFK-LAX", *HOUR, "--save")
    said = jfk("run", "delays", "-e", "@JFK", *HOUR, "--save").stdout
    assert re.match(
        r"train  [\d.]+ m?s\n  delay =\n      1 chunks, the first:\n      DataFrame 48 x 1\n", said
    )
    assert said.endswith("  -> {'hours': 1}\n  saved\n")
    said = jfk("run", "delays", "-e", "JFK-LAX", *HOUR, "--task", "forecast").stdout
    assert "  train = {'hours': 1}\n" in said
    assert "      2013-06-25 13:00:00+00:00     12.0\n" in said
    assert said.endswith("  -> 12.0\n")


def test_what_a_task_raises_is_shown_from_its_own_line_on_and_exits_1(jfk):
    said = jfk("run", "delays", "-e", "JFK-LAX", "--at", "2013-06-25T03", "--task", "weather", code=1).stdout
    assert "  Traceback (most recent call last):\n" in said
    assert f'    File "{ROUTES}", line 23, in weather\n' in said
    assert said.endswith("  ConnectionError: no weather for JFK-LAX at night\n")
    assert "work.py" not in said
    assert "replay.py" not in said


ANSWERS_FOR_NOBODY = """
from pipeline import Flow, task

@task(batch=True)
def total(entity):
    return 7

flow = Flow("totals", [total])
"""


def test_a_task_that_fails_without_raising_exits_1_too(wave, tmp_path):
    path = tmp_path / "answers_for_nobody.py"
    path.write_text(ANSWERS_FOR_NOBODY)
    said = wave("run", str(path), "-e", "a", *HOUR, code=1).stdout
    assert "  failed: batch task 'total' answered with" in said, said


def test_an_entity_that_has_dropped_out_runs_with_features_that_are_given(wave):
    said = wave(
        "run", "delays", "-e", "LGA-MIA", *HOUR, "--task", "departures", "--feature", "origin=LGA"
    ).stdout
    assert "{'flights': 5, 'minutes': 60.0, 'origin': 'LGA'}" in said


def test_the_script_of_a_flow_runs_it_task_by_task(jfk, redis_url, tmp_path):
    jfk("run", "delays", "-e", "JFK-LAX", *HOUR, "--save")
    jfk("run", "delays", "-e", "@JFK", *HOUR, "--save")
    (tmp_path / "wave").write_text(
        f'#!/bin/sh\nexec {sys.executable} -m pipeline.cli --redis {redis_url} "$@"\n'
    )
    (tmp_path / "wave").chmod(0o755)
    script = jfk("compile", "delays", "--format", "sh").stdout
    said = subprocess.run(
        ["env", f"PATH={tmp_path}:/usr/bin:/bin", "VERSION=debug", "sh", "-s", "JFK-LAX", "2013-06-25T13"],
        input=script,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert re.findall(r"^(\w+)  [\d.]+ m?s$", said, re.M) == ["departures", "weather", "delay", "forecast"]
    assert said.count("\n  saved\n") == 4
    assert jfk("pipe", "debug", "forecast", "JFK-LAX", "2013-06-25T13").stdout == "12.0\n"


def test_a_pipe_is_shown_by_its_key_in_every_form(jfk):
    jfk("run", "delays", "-e", "JFK-LAX", *HOUR, "--task", "departures", "--save")
    for words in (
        ["main/departures JFK-LAX 2013-06-25T13"],
        ["main/departures", "JFK-LAX", "2013-06-25T13"],
        ["main", "departures", "JFK-LAX", "2013-06-25T13"],
    ):
        said = jfk("pipe", *words)
        assert said.stdout == "{'flights': 5, 'minutes': 60.0, 'origin': 'JFK'}\n"
        about = r"main/departures JFK-LAX 2013-06-25T13: dict, \d+ bytes, lives for 2[34] h \d\d min more\n"
        assert re.fullmatch(about, said.stderr)
    found = json.loads(jfk("pipe", *words, "--json").stdout)
    assert found["value"] == {"flights": 5, "minutes": 60.0, "origin": "JFK"}


def test_the_nearest_dates_of_a_pipe_that_is_missing_are_told(jfk):
    for hour in ("12", "13"):
        jfk("run", "delays", "-e", "JFK-LAX", "--at", f"2013-06-25T{hour}", "--save")
    said = jfk("pipe", "main/delay", "JFK-LAX", "2013-06-25T16", code=2).stderr
    assert "The nearest of 'JFK-LAX' are at 2013-06-25T12, 2013-06-25T13." in said


def test_entities_of_a_state_are_added_shown_and_removed(wave):
    assert (
        wave("state", "add", "routes", "JFK-LAX", "origin=JFK", "km=3983").stdout
        == "routes: added JFK-LAX; 1 entity now\n"
    )
    wave("state", "add", "routes", "LGA-ORD", "origin=LGA")
    assert wave("state", "ls").stdout == "state   entities  partitioned by\nroutes         2  origin\n"
    said = wave("state", "show", "routes").stdout
    assert said.startswith("routes: 2 entities in 2 partitions\n")
    assert "\nJFK-LAX  JFK        origin=JFK km=3983\n" in said
    said = wave("state", "show", "routes", "--partition", "JFK", "--json").stdout
    assert json.loads(said) == {"JFK": {"JFK-LAX": {"origin": "JFK", "km": 3983}}}
    assert wave("state", "rm", "routes", "JFK-LAX").stdout == "routes: removed 1 entity; 1 left\n"


def test_a_state_that_nothing_knows_is_made_only_when_asked(wave):
    assert "no state 'cities'" in wave("state", "add", "cities", "Paris", code=2).stderr
    wave("state", "add", "cities", "Paris", "--new")
    assert "cities: 1 entity in 1 partition\n" in wave("state", "show", "cities").stdout


def test_flows_are_listed_with_schedule_state_and_tasks(wave):
    said = wave("flows").stdout.splitlines()
    assert said[1] == "delays  5 * * * *  routes  departures, weather, delay, train, forecast"
    assert json.loads(wave("flows", "--json").stdout)[1] == {
        "flow": "held",
        "schedule": None,
        "state": "routes",
        "tasks": {"waiting": []},
    }


def test_a_flow_is_compiled_from_a_file_and_by_its_name(wave):
    assert wave("compile", ROUTES + ":flow").stdout == wave("compile", "delays").stdout
    assert wave("compile", "delays").stdout.startswith("delays: 5 tasks over state routes")
    assert wave("compile", "delays", "--format", "mermaid").stdout.startswith("flowchart LR\n")
    assert json.loads(wave("compile", "delays", "--format", "json").stdout)["flow"] == "delays"


def growing() -> Flow:
    @task
    def found(entity, state):
        state.add("another")
        return 1

    return Flow("growing", [found], state=State("things"))


@pytest.mark.parametrize(("save", "expected"), [(False, ["one"]), (True, ["another", "one"])])
def test_what_a_task_adds_to_its_state_stays_only_when_saved(save, expected):
    registry = MemoryStates().bind("things")
    registry.add("one")
    (step,) = Replay(growing(), "one", AT, MemoryStore(), "main", registry=registry, save=save).run()
    assert step.value == 1
    assert registry.entities() == expected


def test_a_wave_scope_runs_over_all_partitions():
    @task
    def price(entity): ...

    @task(per="wave")
    def total(price, entity):
        return sum(value for chunk in price for value in chunk.values())

    flow = Flow("prices", [price, total], state=State("shops", partition_by="city"))
    registry = MemoryStates().bind(flow.state)
    registry.update({"a": {"city": "Rome"}, "b": {"city": "Oslo"}})
    store = MemoryStore()
    store.put("main", "price", AT, {"a": 1.0, "b": 2.0}, 3600)
    (step,) = Replay(flow, "@all", AT, store, "main", registry=registry).run()
    assert (step.task.name, step.value, step.inputs["entity"]) == ("total", 3.0, "@all")


def test_an_entity_without_the_feature_of_its_partition_is_refused():
    flow = Flow("f", growing().tasks.values(), state=State("shops", partition_by="city"))
    registry = MemoryStates().bind(flow.state)
    with pytest.raises(UnknownName, match="state 'shops' holds no entity 'c'"):
        list(Replay(flow, "c", AT, MemoryStore(), "main", registry=registry).run())
    with pytest.raises(KeyFormatError, match="lacks the feature 'city'"):
        list(Replay(flow, "c", AT, MemoryStore(), "main", registry=registry, features={}).run())
