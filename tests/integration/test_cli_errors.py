"""What a user gets wrong is answered with a text on stderr and exit code 2, never with a traceback."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from pipeline.cli import main

BROKEN = """
from pipeline import Flow, task

raise ZeroDivisionError("in my own code")
"""

CYCLE = """
from pipeline import Flow, task

@task
def a(b): ...

@task
def b(a): ...

flow = Flow("round", [a, b])
"""

TWO = """
from pipeline import Flow, task

@task
def a(entity): ...

one, two = Flow("one", [a]), Flow("two", [a])
"""


@pytest.fixture
def entities(wave):
    """Puts an entity into the state."""
    wave("state", "add", "routes", "JFK-LAX", "origin=JFK")


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (
            ["submit", "delay"],
            "no flow 'delay' in .*routes.py. Did you mean 'delays'? Found there: delays, held.",
        ),
        (
            ["submit", "delays", "--date", "2013-06-25T13:15"],
            "is not on the hour. Use 2013-06-25T13:00:00+00:00",
        ),
        (
            ["submit", "delays", "--date", "noon"],
            "date 'noon' cannot be read. Write it like 2013-06-25T13 (UTC).",
        ),
        (
            ["submit", "delays", "--date", "2150-01-01T00"],
            "date 2150-01-01T00 is later than the present hour, .* (UTC): its wave would count as the newest one until "
            "then. Give an earlier one, or --force if it is meant.",
        ),
        (["submit", "delays", "--version", "a b"], "version 'a b' cannot be part of a key."),
        (["submit", "delays", "--base", ""], "version '' cannot be part of a key."),
        (["submit", "delays", "--state", "rotues"], "no state 'rotues'. Did you mean 'routes'?"),
        (["submit", "delays", "--only", "delayy"], "has no task 'delayy'. Did you mean 'delay'?"),
        (
            ["submit", "delays", "-e", "JFK-LAY"],
            "state 'routes' holds no entity 'JFK-LAY'. Did you mean 'JFK-LAX'?",
        ),
        (["show", "main/delays", "2013-06-25T13"], "no wave 'main/delays 2013-06-25T13' in Redis."),
        (
            ["backfill", "delays", "--from", "2013-06-25T13", "--to", "2013-06-25T12"],
            "would end at 2013-06-25T12, before it begins",
        ),
        (
            ["backfill", "delays", "--from", "2013-06-25", "--to", "2013-06-26", "--every", "90m"],
            "is not a whole number of hours",
        ),
        (
            ["backfill", "delays", "--from", "2150-01-01", "--to", "2150-01-02"],
            "date 2150-01-01T00 is later than the present hour, .* Give --from an earlier one.",
        ),
        (
            ["run", "delays", "-e", "JFK-LAX", "--at", "2013-06-25T13", "--task", "train"],
            "Give @ and a partition's name.",
        ),
        (
            ["run", "delays", "-e", "@LGA", "--at", "2013-06-25T13"],
            "no entities in '@LGA'. Partitions: @JFK.",
        ),
        (
            ["run", "delays", "-e", "@all", "--at", "2013-06-25T13"],
            "has no task that runs once a wave, as '@all' asks.",
        ),
        (["run", "delays", "-e", "XYZ", "--at", "2013-06-25T13"], "state 'routes' holds no entity 'XYZ'."),
        (
            ["run", "delays", "-e", "XYZ", "--at", "2013-06-25T13", "--feature", "JFK"],
            "write it as NAME=VALUE",
        ),
        (
            ["pipe", "main/delay", "JFK-LAX", "2013-06-25T13"],
            "there is no pipe main/delay JFK-LAX 2013-06-25T13.",
        ),
        (["pipe", "delay"], "'delay' is not a pipe. Give its KEY"),
        (["state", "show", "rotues"], "no state 'rotues'. Did you mean 'routes'?"),
        (["state", "add", "routes", "LGA-LAX"], "entity 'LGA-LAX' lacks the feature 'origin'"),
        (["state", "add", "routes", "two words", "origin=JFK"], "has a space or a control character"),
        (["state", "add", "routes", "@JFK", "origin=JFK"], "begins with '@'"),
        (["state", "rm", "routes", "JFK-LAY"], "holds no entity 'JFK-LAY'. Did you mean 'JFK-LAX'?"),
        (["submit", "no_such_module:flow"], "cannot import 'no_such_module'"),
        (["submit", "no_such_file.py"], "which is to hold flows"),
        (
            ["up", "-Q", "colect"],
            "no task is of the kind 'colect'. Did you mean 'collect'? There are: collect, compute",
        ),
        (["up", "--drain", "soon"], "--drain 'soon' is not a length of time."),
        (["ls", "--redis", "localhost"], "'localhost' is not a Redis URL"),
    ],
)
@pytest.mark.usefixtures("entities")
def test_bad_input_is_answered_with_a_text(wave, words, text):
    said = wave(*words, code=2)
    before, _, after = text.partition(".*")
    assert said.stderr.startswith("wave: ")
    assert before in said.stderr
    assert after in said.stderr
    assert "Traceback" not in said.output


@pytest.mark.parametrize(
    ("source", "text"),
    [
        (CYCLE, "flow 'round' has a cycle: a -> b -> a"),
        (TWO, "holds several flows: one, two. Choose one:"),
        ("x = 1", "holds no flow. Give it one"),
    ],
)
def test_a_file_of_flows_that_cannot_be_used_says_why(wave, tmp_path, source, text):
    path = tmp_path / "my_flows_that_fail.py"
    path.write_text(source)
    assert text in wave("compile", str(path), code=2).stderr


def test_an_exception_in_a_users_module_is_shown_from_their_line_on(wave, tmp_path):
    path = tmp_path / "my_broken_flows.py"
    path.write_text(BROKEN)
    said = wave("compile", str(path), code=2).stderr
    assert said.startswith(f"wave: cannot import {path}:\nTraceback")
    assert "in my own code" in said
    assert "discover.py" not in said
    assert "importlib" not in said


@pytest.mark.parametrize(
    "words",
    [
        ["ls"],
        ["submit", "delays"],
        ["backfill", "delays", "--from", "2013-06-25", "--to", "2013-06-25"],
        ["state", "ls"],
    ],
)
def test_a_redis_out_of_reach_is_named_without_its_password_and_what_to_do(wave, words):
    said = wave(*words, "--redis", "redis://:secret@127.0.0.1:1/0", code=2)
    assert said.stderr.startswith("wave: Redis at redis://:***@127.0.0.1:1/0 does not answer")
    assert "set REDIS_URL to one that runs" in said.stderr
    assert "Traceback" not in said.output


def test_without_flows_a_flow_s_name_is_answered_with_what_to_set(redis_url, monkeypatch):
    monkeypatch.delenv("PIPELINE_FLOWS", raising=False)
    result = CliRunner().invoke(main, ["--redis", redis_url, "submit", "delays"])
    assert result.exit_code == 2
    assert "no module was searched. Set PIPELINE_FLOWS=my_flows or give -F my_flows." in result.stderr


def test_up_without_a_flow_says_what_to_give(redis_url, monkeypatch):
    monkeypatch.delenv("PIPELINE_FLOWS", raising=False)
    result = CliRunner().invoke(main, ["--redis", redis_url, "up"])
    assert result.exit_code == 2
    assert "no flow to run. Give a file (wave up my_flows.py)" in result.stderr


def test_outside_a_checkout_a_command_works_as_version_main(wave, monkeypatch, tmp_path):
    monkeypatch.delenv("PIPELINE_VERSION")
    monkeypatch.chdir(tmp_path)
    assert wave("submit", "delays", "--date", "2013-06-25T13").stdout.startswith(
        "main/delays 2013-06-25T13: "
    )
