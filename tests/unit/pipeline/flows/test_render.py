"""A plan is written so that a person, a chart, a program or a shell can read it."""

from __future__ import annotations

import json
import subprocess

import pytest

from pipeline import Flow, State, task
from pipeline.flows.plan import compile_flow
from pipeline.flows.render import FORMATS, as_json, mermaid, shell, tree


@task
def departures(entity, date): ...


@task
def weather(entity, date): ...


@task
def delay(departures): ...


@task(per="partition", window={"delay": "28d"})
def train(delay): ...


@task(batch=True, window={"delay": "2d"})
def delay_forecast(delay, train, weather=None): ...


@task(per="wave")
def report(delay_forecast): ...


TASKS = [departures, weather, delay, train, delay_forecast, report]
DELAYS = Flow("delays", TASKS, state=State("routes", partition_by="origin"), schedule="5 * * * *")


def n_shaped() -> Flow:
    """a -> c, a -> d, b -> d: the smallest graph that is not a nesting of series and parallel parts."""

    @task
    def a(entity): ...

    @task
    def b(entity): ...

    @task
    def c(a): ...

    @task
    def d(a, b): ...

    return Flow("n", [a, b, c, d])


def test_the_tree_shows_parts_scopes_windows_and_optional_inputs():
    assert tree(DELAYS, compile_flow(DELAYS)) == (
        "delays: 6 tasks over state routes, schedule 5 * * * * (UTC)\n"
        "├── for each shard, in parallel\n"
        "│   ├── in series\n"
        "│   │   ├── departures (collect)\n"
        "│   │   └── delay (compute) <- departures\n"
        "│   └── weather (collect)\n"
        "├── once a partition\n"
        "│   └── train (compute) <- delay[28d]\n"
        "├── for each shard\n"
        "│   └── delay_forecast (compute, batch) <- delay[2d], train, weather?\n"
        "└── once a wave\n"
        "    └── report (compute) <- delay_forecast\n"
    )


def test_the_tree_names_the_waits_that_no_input_asks_for():
    flow = n_shaped()
    plan = compile_flow(flow)
    assert plan.waits
    for waiting, other in plan.waits:
        assert f"wait added: {waiting} also waits for {other}, which it does not read\n" in tree(flow, plan)


def test_the_tree_of_some_tasks_says_of_how_many():
    assert tree(DELAYS, compile_flow(DELAYS, ["delay"])).startswith("delays: 1 of 6 tasks over state routes")


def test_mermaid_draws_each_edge_once_and_marks_what_is_optional_or_windowed():
    lines = mermaid(DELAYS, compile_flow(DELAYS)).splitlines()
    assert lines[0] == "flowchart LR"
    assert "    t_departures --> t_delay" in lines
    assert "    t_weather -.-> t_delay_forecast" in lines
    assert "    t_delay -->|28d| t_train" in lines
    assert '    t_train[["train<br/>a partition"]]' in lines
    assert len(lines) == len(set(lines))


def test_mermaid_draws_inputs_that_are_stored_and_added_waits():
    assert '    t_delay(["delay, stored"])' in mermaid(DELAYS, compile_flow(DELAYS, ["train"])).splitlines()
    flow = n_shaped()
    assert "-.->|wait|" in mermaid(flow, compile_flow(flow))


def test_json_holds_what_a_program_needs():
    data = json.loads(as_json(DELAYS, compile_flow(DELAYS)))
    assert (data["flow"], data["state"], data["schedule"]) == ("delays", "routes", "5 * * * *")
    by_name = {found["name"]: found for found in data["tasks"]}
    assert by_name["delay_forecast"]["optional"] == ["weather"]
    assert by_name["delay_forecast"]["window_hours"] == {"delay": 48}
    assert by_name["train"]["canvas"] is None
    assert by_name["departures"]["timeout_s"] is None
    assert data["canvases"][0] == {"parallel": [{"series": ["departures", "delay"]}, "weather"]}


@pytest.mark.parametrize(
    ("entity", "tasks"),
    [
        ("JFK-LAX", ["departures", "weather", "delay", "delay_forecast"]),
        ("@JFK", ["train"]),
        ("@all", ["report"]),
    ],
)
def test_the_script_runs_the_tasks_of_an_entity_or_a_scope_in_order(entity, tasks):
    script = shell(DELAYS, compile_flow(DELAYS), wave="echo")
    said = subprocess.run(
        ["sh", "-s", entity, "2013-06-25T13", "live"],
        input=script,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    assert [line.split()[-1] for line in said[:-1]] == tasks
    assert all(line.startswith(f"run delays --entity {entity} --at 2013-06-25T13 ") for line in said[:-1])
    assert all(" --base live --save --task " in line for line in said[:-1])


def test_the_script_says_what_to_give():
    script = shell(DELAYS, compile_flow(DELAYS))
    said = subprocess.run(["sh", "-s"], input=script, capture_output=True, text=True, check=False)
    assert said.returncode != 0
    assert "give an entity" in said.stderr


def test_the_script_of_a_scope_without_tasks_says_so():
    flow = n_shaped()
    said = subprocess.run(
        ["sh", "-s", "@all", "2013-06-25T13"],
        input=shell(flow, compile_flow(flow)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (said.returncode, said.stderr) == (2, "no task runs for @all\n")


@pytest.mark.parametrize("form", FORMATS)
def test_every_form_names_each_task_of_the_plan(form):
    text = FORMATS[form](DELAYS, compile_flow(DELAYS))
    assert all(name in text for name in DELAYS.tasks)
