"""`wave forecast` and `wave compare`: where an answer came from, how long forecasts last, which version is better."""

from __future__ import annotations

import json
import math
import re
from datetime import UTC, datetime, timedelta

import pytest
from click.testing import CliRunner

from pipeline.cli.group import CommandGroup
from pipeline.states import RedisStates
from pipeline.store import RedisStore

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
FAR = 1e9
KEYS = ["JFK-LAX", "JFK-SFO"]
COMMANDS = {
    "forecast": ("forecasting.cli.forecast:forecast", ""),
    "compare": ("forecasting.cli.compare:compare", ""),
}


@pytest.fixture
def wave(redis_url: str, as_main: None):
    """The two commands on an empty Redis."""
    group = CommandGroup("wave", commands_at=COMMANDS)

    def call(name: str, *words: str, code: int = 0):
        result = CliRunner().invoke(group, [name, *words, "--redis", redis_url], prog_name="wave")
        assert result.exit_code == code, result.output
        return result

    return call


@pytest.fixture
def store(redis_client) -> RedisStore:
    return RedisStore(redis_client)


def put(
    store: RedisStore, hours_before: int, keys: list[str], version: str = "main", value: float = 10.0
) -> None:
    forecast = {"mean": [value] * 24, "lo-80": [9.0] * 24, "hi-80": [11.0] * 24, "model": "m1", "of": "delay"}
    store.put(
        version, "delay_forecast", NOW - timedelta(hours=hours_before), dict.fromkeys(keys, forecast), FAR
    )


def observe(store: RedisStore, days: int) -> None:
    for back in range(days * 24):
        date = NOW - timedelta(hours=back)
        store.put(
            "main", "delay", date, {key: 20 + 5 * math.sin(date.hour * math.pi / 12) for key in KEYS}, FAR
        )


def test_an_answer_shows_where_it_came_from(wave, store):
    put(store, 0, ["JFK-LAX"])
    put(store, 4, ["JFK-SFO"])
    said = wave("forecast", "delay_forecast", *KEYS, "--now", "2026-01-05T12").stdout
    assert re.search(
        r"JFK-LAX +2026-01-05T13 +10 +9 to 11 +fresh +2026-01-05T12 +1 +main +m1\n"
        r"JFK-SFO +2026-01-05T13 +10 +9 to 11 +older +2026-01-05T08 +5 +main +m1\n"
        r"1 of 2 answers degraded: not of the wave of 2026-01-05T12\n$",
        said,
    )


def test_several_hours_are_a_table_and_end_with_what_the_observations_tell(wave, store):
    put(store, 22, ["JFK-LAX"])
    observe(store, 28)
    said = wave("forecast", "delay_forecast", "JFK-LAX", "--now", "2026-01-05T12", "--hours", "4").stdout
    assert [line.split()[-6:-3] for line in said.splitlines()[1:3]] == [["11", "older", "2026-01-04T14"]] * 2
    assert said.count("  ridge ") == 2
    assert "4 of 4 answers degraded" in said
    stored = wave(
        "forecast", "delay_forecast", "JFK-LAX", "--now", "2026-01-05T12", "--hours", "4", "--stored"
    ).stdout
    assert stored.endswith("2 hours without an answer\n")


def test_a_past_hour_is_asked_for_as_it_was_the_hour_before(wave, store):
    put(store, 1, ["JFK-LAX"])
    (found,) = json.loads(
        wave("forecast", "delay_forecast", "JFK-LAX", "--at", "2026-01-05T12", "--json").stdout
    )
    assert found == {
        "entity": "JFK-LAX",
        "at": "2026-01-05T12",
        "value": 10.0,
        "bounds": {"lo-80": 9.0, "hi-80": 11.0},
        "source": "fresh",
        "degraded": False,
        "issued": "2026-01-05T11",
        "lead": 1,
        "version": "main",
        "model": "m1",
    }


def test_without_any_answer_the_error_says_where_was_looked(wave):
    said = wave("forecast", "delay_forecast", "JFK-LAX", "--at", "2026-01-05T12", code=2).stderr
    assert (
        "wave: no forecast 'delay_forecast' of 'JFK-LAX' covers 2026-01-05T12: none was issued from" in said
    )
    assert "name an entity, or ask for --cover." in wave("forecast", "delay_forecast", code=2).stderr


FORECASTS = """
from pipeline import Flow, State, task

@task
def delay(entity): ...

@task(batch=True, window={"delay": "1d"})
def delay_forecast(delay): ...

flow = Flow("delays", [delay, delay_forecast], state=State("routes"))
"""


@pytest.fixture
def flows(tmp_path, monkeypatch: pytest.MonkeyPatch, redis_client) -> None:
    """A flow that forecasts delays, and its state with two entities."""
    path = tmp_path / "flows_that_forecast_delays.py"
    path.write_text(FORECASTS)
    monkeypatch.setenv("PIPELINE_FLOWS", str(path))
    registry = RedisStates(redis_client).bind("routes")
    for key in KEYS:
        registry.add(key)


@pytest.mark.usefixtures("flows")
def test_a_forecast_is_made_of_the_pipe_that_the_flow_tells(wave, store):
    observe(store, 28)
    said = wave("forecast", "delay_forecast", "JFK-LAX", "--now", "2026-01-05T12").stdout
    assert said.count("  ridge ") == 1


@pytest.mark.usefixtures("flows")
@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["delay_forcast", "JFK-LAX"], "No flow here makes 'delay_forcast'. Did you mean 'delay_forecast'"),
        (["delay_forecast", "JFK-LAY"], "state 'routes' has no entity 'JFK-LAY'. Did you mean 'JFK-LAX'"),
        (
            ["delay_forcast", "JFK-LAX"],
            "Name the numeric pipe that is forecast to have one made of it: --observed PIPE",
        ),
    ],
)
def test_a_typo_in_a_question_for_a_forecast_is_told(wave, words: list[str], text: str):
    assert text in wave("forecast", *words, "--at", "2026-01-05T12", code=2).stderr


def test_cover_sums_up_the_entities_of_the_flow_s_state(wave, store, redis_client):
    registry = RedisStates(redis_client).bind("routes")
    for key in KEYS:
        registry.add(key, origin="JFK")
    put(store, 0, ["JFK-LAX"])
    put(store, 20, ["JFK-SFO"])
    words = ["--cover", "--state", "routes", "--now", "2026-01-05T12"]
    said = wave("forecast", "delay_forecast", *words).stdout
    assert said.startswith("cover of 2 entities by delay_forecast at 2026-01-05T12, in hours\n")
    assert re.search(r"\n +4 +4 +4 +0\n", said)
    found = json.loads(wave("forecast", "delay_forecast", *words, "--json").stdout)
    assert found["hours"] == {"JFK-LAX": 24, "JFK-SFO": 4}
    assert wave("forecast", "delay_forecast", "--cover", "--state", "route", code=2).stderr.count(
        "Did you mean 'routes'?"
    )


def test_cover_of_a_pipe_that_no_flow_makes_wants_its_entities_named(wave):
    said = wave("forecast", "no_such", "--cover", code=2).stderr
    assert "no flow here makes 'no_such', so its entities are not known. Name some, or --state NAME" in said


def test_forecasts_of_two_versions_are_scored_and_judged(wave, store):
    observe(store, 10)
    for back in range(24, 24 * 4):
        put(store, back, KEYS, value=20.0)
        put(store, back, KEYS, version="fix", value=90.0)
    words = ["--from", "2026-01-01T13", "--to", "2026-01-04T12", "-e", "JFK-LAX", "-e", "JFK-SFO"]
    said = wave("compare", "delay_forecast", "main", "fix", *words).stdout
    assert re.search(r"\nmain +3\.\d+ +3\.\d+ .*\nfix +70 ", said)
    assert "fix is worse than main: its error is" in said
    assert "on the same 3,456 answers of 95 hours (p = 0.0" in said
    found = json.loads(
        wave("compare", "delay_forecast", "main", "fix", *words, "--leads", "1-2", "--json").stdout
    )
    assert found["answers"] == 2 * 72 * 2
    assert [row["version"] for row in found["table"]] == ["main", "fix"]


def test_other_pipes_of_two_versions_are_shown_where_they_differ(wave, store):
    store.put("main", "delay", NOW, {"JFK-LAX": 1.5, "JFK-SFO": 3.0}, FAR)
    store.put("fix", "delay", NOW, {"JFK-LAX": 2.5, "JFK-SFO": 3.0}, FAR)
    words = ["--from", "2026-01-05T12", "--to", "2026-01-05T12", "-e", "JFK-LAX", "-e", "JFK-SFO"]
    said = wave("compare", "delay", "main", "fix", *words).stdout
    assert re.search(r"main +2 +2\nfix +2 +1\n", said)
    assert "where they differ: 1 of 2 pipes" in said
    assert re.search(r"\nJFK-LAX +2026-01-05T12 +1\.5 +2\.5\n", said)
    rows = json.loads(wave("compare", "delay", "main", "fix", *words, "--json").stdout)
    assert rows[1] == {"unique_id": "JFK-LAX", "ds": "2026-01-05T12", "version": "fix", "value": 2.5}


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["main"], "name two versions or more: the first is what the others are compared with."),
        (["main", "fix", "--leads", "6-1"], "--leads 6-1: write the smallest and the largest, like 1-6"),
        (["main", "fix", "--to", "2026-01-04"], "--to 2026-01-04T23 lies before --from 2026-01-05T12."),
        (["main", "fix"], "has no forecast 'delay_forecast' of these entities that was issued from"),
    ],
)
def test_what_cannot_be_compared_is_refused_in_words(wave, store, words: list[str], text: str):
    put(store, 0, ["JFK-LAX"])
    span = ["-e", "JFK-LAX", "--from", "2026-01-05T12", "--to", "2026-01-05T12"]
    assert text in wave("compare", "delay_forecast", *span, *words, code=2).stderr
