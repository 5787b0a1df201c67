"""Whole waves in this process: what a user's tasks get, and what is said of each entity."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from pipeline import Entity, Flow, State, task
from pipeline.errors import FlowError, KeyFormatError, UnknownName, WaveError
from pipeline.states import MemoryStates
from pipeline.store import MemoryStore
from pipeline.testing import run_wave
from tests.support.graphs import make

THEN = datetime(2013, 6, 25, 13, tzinfo=UTC)
DAY = 86400.0
KEYS = ["A", "B", "C"]


def hours_before(n: int) -> datetime:
    return THEN - timedelta(hours=n)


def run(*tasks, entities=KEYS, state=None, store=None, **options):
    return run_wave(Flow("f", tasks, state=state), entities, THEN, store=store, **options)


def texts(wave, name: str) -> dict[str, str]:
    """How each entity of a task stands."""
    return {key: str(found) for key, found in wave.statuses(name).items()}


def holding(name: str, values: dict, key: str = "A", version: str = "test", store=None) -> MemoryStore:
    """A store with one entity's pipes: hours before THEN -> value."""
    store = store if store is not None else MemoryStore()
    for n, value in values.items():
        store.put(version, name, hours_before(n), {key: value}, ttl=DAY)
    return store


@task
def a(entity):
    """A collection task that fails for B and makes no observation for C."""
    if entity == "B":
        raise ValueError("source down")
    return None if entity == "C" else 1.0


@task
def number(entity):
    return {"A": 1, "B": 2, "C": 4}[entity]


# Entity by entity


def test_a_diamond_of_plain_functions_runs_to_its_values():
    @task
    def departures(entity, date):
        return {"of": entity, "at": f"{date:%H}"}

    @task
    def weather(departures):
        return len(departures)

    @task
    def delay(departures):
        return departures["of"]

    @task
    def forecast(weather, delay):
        return f"{delay}{weather}"

    wave = run(departures, weather, delay, forecast)
    assert wave.result("departures", "A") == {"of": "A", "at": "13"}
    assert {key: wave.result("forecast", key) for key in KEYS} == {"A": "A2", "B": "B2", "C": "C2"}
    assert wave.closed
    assert wave.wait(0) is wave
    assert wave.errors() == {}
    assert str(wave.progress()) == "test/f 2013-06-25T13: closed, 12 of 12 ended: 12 finished"


def test_one_entitys_failure_touches_no_other_and_is_told_down_the_graph():
    wave = run(a, make("b", "a"), make("c", "b"))
    assert texts(wave, "a") == {"A": "finished", "B": "failed: error", "C": "finished (empty)"}
    assert texts(wave, "b") == {"A": "finished", "B": "skipped: missing input", "C": "skipped: missing input"}
    errors = wave.errors()
    assert errors["a"]["B"].startswith("ValueError: source down (test_testing.py:")
    assert errors["b"] == {
        "B": "missing input: a (failed: error)",
        "C": "missing input: a (finished (empty))",
    }
    assert errors["c"] == {
        "B": "missing input: b (skipped: missing input)",
        "C": "missing input: b (skipped: missing input)",
    }


def test_none_is_no_observation_there_is_no_pipe():
    wave = run(a)
    with pytest.raises(UnknownName, match=r"has no pipe 'a' of 'C': it is finished \(empty\)"):
        wave.result("a", "C")


def test_the_result_of_a_failed_or_skipped_entity_is_told_with_its_reason():
    wave = run(a, make("b", "a"))
    failed = r"has no pipe 'a' of 'B': it is failed: error: ValueError: source down \(test_testing\.py:\d+, in a\)\.$"
    with pytest.raises(UnknownName, match=failed):
        wave.result("a", "B")
    with pytest.raises(UnknownName, match=r"it is skipped: missing input: a \(failed: error\)\.$"):
        wave.result("b", "B")


def test_zero_false_and_an_empty_text_are_values():
    @task
    def value(entity):
        return {"A": 0, "B": False, "C": ""}[entity]

    wave = run(value)
    assert [wave.result("value", key) for key in KEYS] == [0, False, ""]


def test_an_optional_input_that_failed_is_its_default_and_marks_the_entity_degraded():
    @task
    def b(a=-1.0):
        return a

    wave = run(a, b)
    assert {key: wave.result("b", key) for key in KEYS} == {"A": 1.0, "B": -1.0, "C": -1.0}
    assert texts(wave, "b") == {"A": "finished", "B": "finished (degraded)", "C": "finished"}
    assert wave.errors("b") == {}


def test_an_optional_input_that_is_not_made_here_and_not_stored_marks_degraded():
    wave = run(a, make("b", "a=None"), only=["b"], store=holding("a", {0: 1.0}))
    assert texts(wave, "b") == {"A": "finished", "B": "finished (degraded)", "C": "finished (degraded)"}


def test_an_input_of_no_task_of_this_wave_is_read_from_the_store_and_named_when_it_is_missing():
    wave = run(a, make("b", "a"), only=["b"], store=holding("a", {0: 7.0}))
    assert wave.result("b", "A") == "b"
    assert wave.errors("b") == {"b": dict.fromkeys("BC", "missing input: no a at this date")}


def test_the_missing_input_that_is_named_is_a_required_one():
    @task
    def other(entity):
        raise ValueError

    @task
    def b(a, other=None): ...

    wave = run(a, other, b)
    assert wave.errors("b")["b"]["C"] == "missing input: a (finished (empty))"


def test_an_exit_in_a_task_is_that_entitys_failure():
    @task
    def leaves(entity):
        if entity == "B":
            raise SystemExit(3)
        return 1

    wave = run(leaves)
    assert texts(wave, "leaves") == {"A": "finished", "B": "failed: error", "C": "finished"}
    assert wave.errors()["leaves"]["B"].startswith("SystemExit: 3 (")


def test_a_value_that_no_codec_takes_fails_only_its_entity():
    values = {"A": 1.0, "B": {1, 2}, "C": float("nan"), "D": 2**70, "E": 0.0}

    @task
    def value(entity):
        return values[entity]

    wave = run(value, entities=list(values))
    assert texts(wave, "value") == {
        "A": "finished",
        "B": "failed: error",
        "C": "failed: error",
        "D": "failed: error",
        "E": "finished",
    }
    errors = wave.errors()["value"]
    assert errors["B"] == (
        "CodecError: the value is of type set, which would not come back as it is. Return sorted(...) of it."
    )
    assert errors["C"] == (
        "CodecError: the value is nan, which JSON has no form for. Return None where there is no value."
    )
    assert "more than 64 bits" in errors["D"]


def test_the_time_limit_fails_what_is_left_and_keeps_what_was_done():
    hang = threading.Event()

    @task(time_limit="500ms")
    def slow(entity):
        if entity == "B":
            hang.wait(30)
        return 1

    wave = run(slow)
    assert texts(wave, "slow") == {"A": "finished", "B": "failed: timed out", "C": "failed: timed out"}
    assert wave.errors()["slow"]["B"] == "not done within the time limit of 0.5 s"


def test_the_time_limit_holds_in_threads_where_the_others_go_on():
    hang = threading.Event()

    @task(time_limit="500ms", concurrency=2)
    def slow(entity):
        if entity == "B":
            hang.wait(30)
        return 1

    wave = run(slow)
    hang.set()
    assert texts(wave, "slow") == {"A": "finished", "B": "failed: timed out", "C": "finished"}


def test_a_task_with_concurrency_is_called_in_several_threads():
    together = threading.Barrier(3, timeout=10)

    @task(concurrency=3)
    def collect(entity):
        together.wait()
        return threading.current_thread().name

    wave = run(collect)
    assert len({wave.result("collect", key) for key in KEYS}) == 3


def test_rates_do_not_slow_a_test_down():
    @task(rate="1/h")
    def collect(entity):
        return 1

    assert texts(run(collect), "collect") == dict.fromkeys(KEYS, "finished")


# What a task knows of its entity, hour and state


def test_a_task_knows_its_entitys_features_and_partition():
    routes = State("routes", partition_by="origin")

    @task
    def seen(entity, date):
        assert isinstance(entity, Entity)
        assert date == THEN
        return [entity, dict(entity.features), entity.partition_name]

    wave = run(seen, state=routes, entities={"A": {"origin": "JFK", "n": 1}, "B": {"origin": "LGA"}})
    assert wave.result("seen", "A") == ["A", {"origin": "JFK", "n": 1}, "JFK"]
    assert wave.result("seen", "B") == ["B", {"origin": "LGA"}, "LGA"]


def test_a_batch_covers_one_partition():
    routes = State("routes", partition_by="origin")
    calls = []

    @task(batch=True)
    def seen(entity):
        calls.append([(str(e), e.partition_name) for e in entity])
        return dict.fromkeys(entity, 1)

    entities = {
        "A": {"origin": "JFK"},
        "B": {"origin": "LGA"},
        "C": {"origin": "JFK"},
        "D": {"origin": "JFK"},
    }
    run(seen, state=routes, entities=entities, shard_size=2)
    assert sorted(calls) == [[("A", "JFK")], [("B", "LGA")], [("C", "JFK"), ("D", "JFK")]]


def test_a_task_may_change_the_state_for_the_next_wave():
    @task
    def discover(entity, state):
        state.add(f"{entity}-next", found_by=str(entity))
        state.remove("old")
        return len(state)

    states = MemoryStates()
    states.bind("routes").update(["old"])
    run(discover, state="routes", states=states)
    held = states.bind("routes")
    assert held.entities() == ["A-next", "B-next", "C-next"]
    assert held.features("A-next") == {"found_by": "A"}


def test_a_task_of_a_flow_without_a_state_gets_none():
    @task
    def discover(entity, state):
        return state is None

    assert run(discover).result("discover", "A") is True


# Windows


def test_a_windowed_input_is_a_series_of_hours_that_ends_at_the_date():
    seen = []

    @task(window={"a": "3h"})
    def b(a):
        seen.append(a)
        return float(a.sum())

    store = holding("a", {3: 9.0, 2: 5.0, 0: 0.0})
    wave = run(make("a"), b, only=["b"], entities=["A"], store=store)
    assert wave.result("b", "A") == 5.0
    (series,) = seen
    assert list(series.index) == [hours_before(2), hours_before(1), THEN]
    assert (series.index.name, str(series.index.tz), series.name) == ("ds", "UTC", "A")
    np.testing.assert_array_equal(series.to_numpy(), [5.0, np.nan, 0.0])


def test_a_batch_gets_a_window_as_a_frame_of_hours_by_entities():
    seen = []

    @task(batch=True, window={"a": "2h"})
    def b(a, entity):
        seen.append(a)
        return {key: float(a[key].iloc[-1]) for key in entity}

    store = holding("a", {1: 1.0, 0: 2.0}, "A")
    holding("a", {0: 0.0}, "B", store=store)
    wave = run(make("a"), b, only=["b"], entities=["A", "B"], store=store)
    assert [wave.result("b", key) for key in "AB"] == [2.0, 0.0]
    (found,) = seen
    assert list(found.columns) == ["A", "B"]
    assert found.dtypes.unique().tolist() == [np.dtype("float64")]
    np.testing.assert_array_equal(found.to_numpy(), [[1.0, np.nan], [2.0, 0.0]])


def test_a_window_without_a_default_needs_this_hours_pipe():
    wave = run(
        make("a"),
        make("b", "a", window={"a": "2h"}),
        only=["b"],
        entities=["A", "B"],
        store=holding("a", {0: 0.0}, "B", store=holding("a", {1: 1.0}, "A")),
    )
    assert texts(wave, "b") == {"A": "skipped: missing input", "B": "finished"}, "0.0 is a number, not a gap"
    assert wave.errors("b") == {"b": {"A": "missing input: no a at this date"}}


def test_a_window_with_a_default_is_content_with_the_past():
    @task(window={"a": "2h"})
    def b(a=None):
        return None if a is None else [None if np.isnan(x) else x for x in a]

    wave = run(make("a"), b, only=["b"], entities=["A", "B"], store=holding("a", {1: 1.0}, "A"))
    assert wave.result("b", "A") == [1.0, None]
    assert texts(wave, "b") == {"A": "finished (degraded)", "B": "finished (degraded, empty)"}


def test_a_window_of_what_this_wave_makes_ends_with_it():
    @task(window={"a": "2h"})
    def b(a):
        return a.tolist()

    wave = run(a, b, entities=["A"], store=holding("a", {1: 5.0}))
    assert wave.result("b", "A") == [5.0, 1.0]


def test_a_window_over_what_is_no_number_fails_with_a_text_that_says_so():
    @task
    def words(entity):
        return "late"

    wave = run(words, make("b", "words", window={"words": "2h"}))
    assert texts(wave, "b") == dict.fromkeys(KEYS, "failed: error")
    assert wave.errors()["b"]["A"].startswith(
        "WindowError: a window of 'words' was asked for, but the pipe of 'A'"
    )


# Versions


def test_what_this_wave_makes_is_read_in_its_own_version_only_and_the_rest_from_the_base_too():
    @task
    def b(a, old):
        return [a, old]

    store = holding("a", {0: -1.0}, "B", version="main")
    for key in KEYS:
        holding("old", {0: 5.0}, key, version="main", store=store)
    wave = run(a, make("old"), b, only=["a", "b"], store=store, version="branch", base="main")
    assert wave.result("b", "A") == [1.0, 5.0]
    assert texts(wave, "b")["B"] == "skipped: missing input", "main's a does not stand in for a failed one"
    assert store.get("main", "b", THEN, KEYS) == {}


def test_a_windows_past_is_filled_from_the_base_hour_by_hour():
    @task(window={"a": "3h"})
    def b(a):
        return a.tolist()

    store = holding("a", {2: 20.0, 1: 10.0}, version="main")
    holding("a", {1: 11.0}, version="branch", store=store)
    wave = run(a, b, entities=["A"], store=store, version="branch", base="main")
    assert wave.result("b", "A") == [20.0, 11.0, 1.0]


def test_a_pipe_is_written_once_a_second_wave_of_the_hour_keeps_the_first():
    values = iter([1, 2])

    @task
    def counted(entity):
        return next(values)

    store = MemoryStore()
    run(counted, entities=["A"], store=store)
    wave = run(counted, entities=["A"], store=store)
    assert wave.result("counted", "A") == 1
    assert texts(wave, "counted") == {"A": "finished"}


# Batches


def test_each_wrong_answer_of_a_batch_is_the_entitys_or_the_shards_own():
    @task(batch=True)
    def some(entity):
        return {key: 1 for key in entity if key != "B"}

    @task(batch=True)
    def foreign(entity):
        return {"Z": 1} if "C" in entity else dict.fromkeys(entity, 1)

    @task(batch=True)
    def nothing(entity): ...

    wave = run(some, foreign, nothing, shard_size=2)  # shards A and B, C
    assert texts(wave, "some") == {"A": "finished", "B": "failed: error", "C": "finished"}
    assert texts(wave, "foreign") == {"A": "finished", "B": "failed: error", "C": "failed: error"}
    assert texts(wave, "nothing") == dict.fromkeys(KEYS, "failed: error")
    errors = wave.errors()
    assert errors["some"]["B"].startswith("batch task 'some' gave no answer for 'B'.")
    assert errors["foreign"]["B"].startswith(
        "batch task 'foreign' answered for what it was not asked for: 'Z'."
    )
    assert errors["nothing"]["A"].startswith("batch task 'nothing' answered with a NoneType.")


def test_a_bad_entity_of_a_batch_is_isolated_and_told():
    @task(batch=True)
    def inverse(number):
        return {key: 1 / (value - 2) for key, value in number.items()}

    wave = run(number, inverse)
    assert texts(wave, "inverse") == {"A": "finished", "B": "failed: error", "C": "finished"}
    assert wave.errors()["inverse"]["B"].startswith("ZeroDivisionError: ")


# Scopes

ROUTES = State("routes", partition_by="origin")
ENTITIES = {"A": {"origin": "JFK"}, "B": {"origin": "LGA"}, "C": {"origin": "JFK"}}


def test_a_partition_task_runs_once_a_partition_and_its_pipe_is_read_by_the_entities():
    @task(per="partition")
    def total(entity, date, number):
        return [entity, entity.partition_name, sum(sum(chunk.values()) for chunk in number)]

    @task
    def share(number, total):
        return number / total[2]

    wave = run(number, total, share, state=ROUTES, entities=ENTITIES, shard_size=1)
    assert wave.result("total", "@JFK") == ["@JFK", "JFK", 5]
    assert wave.result("total", "@LGA") == ["@LGA", "LGA", 2]
    assert [wave.result("share", key) for key in KEYS] == [0.2, 1.0, 0.8]
    assert texts(wave, "total") == {"@JFK": "finished", "@LGA": "finished"}


def test_a_wave_task_reads_one_chunk_a_shard_and_one_of_all_partitions():
    @task(per="partition")
    def total(number):
        return sum(sum(chunk.values()) for chunk in number)

    @task(per="wave")
    def report(entity, number, total):
        return [entity, entity.partition_name, [dict(c) for c in number], [dict(c) for c in total]]

    @task(per="partition")
    def part(total, report):
        return [total, len(report)]

    wave = run(number, total, report, part, state=ROUTES, entities=ENTITIES)
    assert wave.result("report", "@all") == [
        "@all",
        None,
        [{"A": 1, "C": 4}, {"B": 2}],
        [{"@JFK": 5, "@LGA": 2}],
    ]
    assert wave.result("part", "@JFK") == [5, 4]


def test_chunks_of_several_inputs_can_be_zipped_and_a_window_is_a_frame_a_chunk():
    @task
    def twice(number):
        return 2 * number

    @task(per="wave", window={"number": "2h"})
    def both(number, twice):
        return [[*frame.columns, *chunk] for frame, chunk in zip(number, twice, strict=True)]

    wave = run(number, twice, both, entities=KEYS, shard_size=2)
    assert wave.result("both", "@all") == [["A", "A"], ["B", "C", "B", "C"]]


def test_a_chunk_holds_those_that_have_the_input():
    @task(per="wave")
    def seen(a):
        return [sorted(chunk) for chunk in a]

    assert run(a, seen).result("seen", "@all") == [["A"]]


def test_a_scoped_task_that_answers_for_entities_makes_a_pipe_for_each():
    @task(per="partition", batch=True)
    def rank(number):
        values = {key: value for chunk in number for key, value in chunk.items()}
        return {key: sorted(values).index(key) for key in values}

    @task
    def b(rank):
        return rank

    wave = run(number, rank, b, state=ROUTES, entities=ENTITIES)
    assert [wave.result("b", key) for key in KEYS] == [0, 0, 1]
    assert texts(wave, "rank") == {"@JFK": "finished", "@LGA": "finished"}


def test_a_scoped_task_that_fails_skips_those_who_read_it_and_names_itself():
    @task(per="partition")
    def model(entity, number):
        if entity == "@LGA":
            raise ValueError("too few")
        return 1

    wave = run(number, model, make("b", "model"), make("c", "model=None"), state=ROUTES, entities=ENTITIES)
    assert texts(wave, "b") == {"A": "finished", "C": "finished", "B": "skipped: missing input"}
    assert wave.errors("b")["b"] == {"B": "missing input: model (failed: error)"}
    assert wave.errors("model")["model"]["@LGA"].startswith("ValueError: too few (")
    assert texts(wave, "c") == {"A": "finished", "C": "finished", "B": "finished (degraded)"}


def test_a_scoped_task_without_an_observation_degrades_nobody():
    @task(per="wave")
    def limits(number): ...

    @task(per="wave", batch=True)
    def ranks(number):
        return {"A": 1, "B": None}

    wave = run(number, limits, ranks, make("b", "limits=None"), make("c", "ranks=None"))
    assert texts(wave, "limits") == {"@all": "finished (empty)"}
    assert texts(wave, "b") == dict.fromkeys(KEYS, "finished")
    assert texts(wave, "c") == dict.fromkeys(KEYS, "finished"), "ranks left B and C out"


def test_a_scoped_task_whose_own_input_is_missing_is_skipped_and_names_it():
    @task(per="partition")
    def model(number):
        raise ValueError

    @task(per="partition")
    def scores(model): ...

    wave = run(number, model, scores, state=ROUTES, entities=ENTITIES)
    assert texts(wave, "scores") == dict.fromkeys(["@JFK", "@LGA"], "skipped: missing input")
    assert wave.errors("scores")["scores"]["@JFK"] == "missing input: model (failed: error)"


def test_one_bad_value_of_a_scoped_answer_is_left_out_and_named():
    @task(per="wave", batch=True)
    def ranks(number):
        return {"A": 1, "B": {2}, "C": ValueError("no rank"), "Z": 4}

    @task
    def shown(ranks):
        return ranks

    wave = run(number, ranks, shown)
    assert texts(wave, "ranks") == {"@all": "finished"}
    assert texts(wave, "shown") == {
        "A": "finished",
        "B": "skipped: missing input",
        "C": "skipped: missing input",
    }
    assert wave.left_out().count == 3
    assert wave.left_out().reasons["B"].startswith("the value is of type set")
    assert wave.left_out().reasons["C"] == "ValueError: no rank"
    assert wave.left_out().reasons["Z"] == "task 'ranks' was not asked for it"


def test_a_scoped_answer_of_bad_values_alone_fails_and_names_one():
    @task(per="wave", batch=True)
    def ranks(number):
        return {"A": {1}, "B": {2}}

    wave = run(number, ranks)
    assert texts(wave, "ranks") == {"@all": "failed: error"}
    assert wave.errors()["ranks"]["@all"].startswith("CodecError: 'B': the value is of type set")


def test_one_bad_entity_is_left_out_and_the_others_run():
    wave = run(number, entities=["A", "B C", 5])
    assert texts(wave, "number") == {"A": "finished"}
    assert list(wave.left_out().reasons) == ["B C", "5"]


def test_what_a_task_adds_to_its_state_is_left_out_alone():
    @task
    def found(entity, state):
        state.update({"new": {"origin": "JFK"}, "not so": {"origin": "JFK"}})
        return 1

    states = MemoryStates()
    wave = run(found, entities={"A": {"origin": "JFK"}}, state=ROUTES, states=states)
    assert texts(wave, "found") == {"A": "finished"}
    assert states.bind(ROUTES).entities() == ["new"]
    assert list(wave.left_out().reasons) == ["not so"]


# The wave as a whole


def test_only_the_chosen_tasks_are_run():
    wave = run(a, make("b", "a"), make("c"), only=["a"])
    assert list(wave.progress().tasks) == ["a"]
    with pytest.raises(UnknownName, match=r"has no task 'b'.* It has: a\."):
        wave.statuses("b")


def test_a_wave_of_no_entities_is_finished_at_once_and_says_so():
    @task(per="wave")
    def total(number):
        raise AssertionError

    wave = run(number, total, entities=[])
    assert str(wave.progress()) == "test/f 2013-06-25T13: closed (empty), 0 of 0 ended: no entities"
    assert wave.statuses("total") == {}


def test_a_wave_in_this_process_cannot_be_retried_and_has_ended_already():
    wave = run(a)
    with pytest.raises(WaveError, match="was run by run_wave"):
        wave.retry()
    assert wave.cancel() is False


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"entities": ["a b"]}, KeyFormatError, "entity key 'a b' has a space"),
        ({"entities": "A"}, KeyFormatError, "entities='A' is not a list"),
        ({"only": ["z"]}, FlowError, "flow 'f' has no task 'z'"),
        ({"version": "two words"}, KeyFormatError, "version 'two words'"),
    ],
)
def test_what_a_submission_refuses_is_refused(options, error, said):
    with pytest.raises(error, match=said):
        run(a, **options)


@pytest.mark.parametrize("date", ["2013-06-25T13:30", datetime(2013, 6, 25, 13)])  # noqa: DTZ001 - what is refused
def test_a_date_that_is_no_hour_is_refused(date):
    with pytest.raises(KeyFormatError, match="date"):
        run_wave(Flow("f", [a]), KEYS, date)


def test_the_date_is_this_hour_where_none_is_given():
    wave = run_wave(Flow("f", [a]), KEYS)
    assert timedelta(0) <= datetime.now(UTC) - wave.date < timedelta(hours=1, minutes=1)


def test_results_of_an_unknown_entity_name_the_near_ones():
    wave = run(a, entities=["JFK-LAX", "JFK-SFO"])
    with pytest.raises(UnknownName, match=r"it has no such entity. Did you mean 'JFK-LAX'"):
        wave.result("a", "JFK-LAXX")


# Fixtures for users' tests


USERS_TEST = """
from pipeline import Flow, task

@task
def hour(entity, date): return date.hour

def test_hours(pipe_store, wave_runner):
    flow = Flow("f", [hour])
    wave_runner(flow, ["A"], "2013-06-25T12")
    assert wave_runner(flow, ["A"], "2013-06-25T13").result("hour", "A") == 13
    assert [pipe_store.get("test", "hour", f"2013-06-25T{n}", ["A"]) for n in (12, 13)] == [{"A": 12}, {"A": 13}]
"""


def test_the_fixtures_share_one_store_over_the_hours_of_a_test(tmp_path):
    (tmp_path / "conftest.py").write_text("pytest_plugins = ['pipeline.fixtures']\n")
    (tmp_path / "test_flows.py").write_text(USERS_TEST)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    found = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert found.stdout.splitlines()[-1].startswith("1 passed"), found.stdout
