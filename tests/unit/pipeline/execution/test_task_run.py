"""One run of a task: its inputs, its answers, and the texts of its errors."""

from __future__ import annotations

import json
import math
import sys
import time

import pandas as pd
import pytest

from pipeline import Entity, task
from pipeline.errors import AnswerError, CodecError, RunError, TimedOut
from pipeline.execution.inputs import Chunks, Source
from pipeline.execution.task_run import MissingInput, Work, checked, describe, scoped
from pipeline.flows.left_out import LeftOut
from pipeline.store import MemoryStore
from tests.support.graphs import THEN, make

DAY = 86400.0
KEYS = ["A", "B", "C"]


def source(*tasks, base=None, made_here=(), **pipes) -> Source:
    """Where a run reads from: pipes given as name=values, on this hour and in version main."""
    store = MemoryStore()
    for name, values in pipes.items():
        store.put("main", name, THEN, values, ttl=DAY)
    return Source(store, "main", base, THEN, {t.name: t for t in tasks}, frozenset(made_here))


def outcomes(item, where: Source, keys=KEYS, positions=None, **options) -> dict:
    """What came of each entity: its value, or its error's text with the error's type."""
    work = Work(item, where, keys, "P", **options)
    found = {}
    for i, value, error in work.outcomes(range(len(keys)) if positions is None else positions):
        assert keys[i] not in found
        found[keys[i]] = value if error is None else (type(error), str(error))
    return found


# An entity at a time


def test_arguments_come_in_the_order_of_the_parameters_whatever_it_is():
    @task
    def joined(b, date, a="-", *, entity, state):
        return f"{entity} {a} {b} {date:%H} {state}"

    found = outcomes(joined, source(make("a"), make("b"), a={"A": 1}, b={"A": 2, "B": 3}), state="S")
    assert found == {"A": "A 1 2 13 S", "B": "B - 3 13 S", "C": (MissingInput, "no b at this date")}


def test_a_missing_input_names_all_that_are_missing():
    @task
    def joined(a, b): ...

    found = outcomes(joined, source(make("a"), make("b"), a={"A": 1}))
    assert found["A"] == (MissingInput, "no b at this date")
    assert found["B"] == (MissingInput, "no a and no b at this date")


def test_only_the_entities_that_are_still_open_are_run():
    @task
    def echo(entity):
        return entity

    assert outcomes(echo, source(), positions=[2, 0]) == {"C": "C", "A": "A"}


def test_who_goes_without_an_optional_input_is_noted():
    @task
    def joined(a, b=None): ...

    work = Work(joined, source(make("a"), make("b"), a={"A": 1, "B": 1}, b={"A": 1}), KEYS, "P")
    list(work.outcomes(range(3)))
    assert work.without == {"b": ["B", "C"]}


def test_each_call_waits_for_the_throttle():
    waits = []

    @task
    def echo(entity):
        return len(waits)

    assert list(outcomes(echo, source(), throttle=lambda: waits.append(1)).values()) == [1, 2, 3]


# A batch at a time


def test_a_batch_gets_a_mapping_of_those_that_have_the_input():
    seen = {}

    @task(batch=True)
    def doubled(entity, a, b=None):
        seen.update(entity=entity, a=a, b=b)
        return {key: 2 * a[key] for key in a}

    found = outcomes(doubled, source(make("a"), make("b"), a={"A": 1, "C": 3}, b={"C": 5}))
    assert found == {"A": 2, "B": (MissingInput, "no a at this date"), "C": 6}
    assert seen == {"entity": ["A", "C"], "a": {"A": 1, "C": 3}, "b": {"C": 5}}


def test_a_batch_gets_a_scopes_one_pipe_the_hour_and_the_state_as_they_are():
    @task(batch=True)
    def told(entity, limit, ceiling=9, *, date, state):
        return {key: [limit, ceiling, f"{date:%H}", state] for key in entity}

    scopes = make("limit", per="partition"), make("ceiling", per="wave")
    found = outcomes(told, source(*scopes, limit={"@P": 7, "@Q": 8}), ["A"], state="S")
    assert found == {"A": [7, 9, "13", "S"]}


def test_a_batch_in_which_nobody_has_the_input_is_not_called():
    @task(batch=True)
    def doubled(a):
        raise AssertionError

    assert set(outcomes(doubled, source(make("a"))).values()) == {(MissingInput, "no a at this date")}


def test_an_entity_that_a_batch_leaves_out_is_an_error_of_its_own():
    @task(batch=True)
    def some(entity):
        return {"A": 1, "B": None}

    assert outcomes(some, source()) == {
        "A": 1,
        "B": None,
        "C": (
            AnswerError,
            "batch task 'some' gave no answer for 'C'. Return a value for each entity, None where there is no "
            "observation.",
        ),
    }


@pytest.mark.parametrize(
    ("answer", "kind"), [([1, 2, 3], "list"), (None, "NoneType"), ("ABC", "str"), (5, "int")]
)
def test_a_batch_answer_that_is_no_mapping_is_refused(answer, kind):
    @task(batch=True)
    def wrong(entity):
        return answer

    found = outcomes(wrong, source())
    assert set(found.values()) == {
        (
            AnswerError,
            f"batch task 'wrong' answered with a {kind}. Return a mapping {{entity: value}}, with None where there is "
            "no observation.",
        )
    }


def test_what_a_batch_answers_for_foreign_entities_is_left_out():
    @task(batch=True)
    def more(entity):
        return {"Z": 1} | dict.fromkeys(entity, 1) | {5: 2, math.nan: RunError("why")}

    work = Work(more, source(), ["A", "B"], None)
    assert [value for _, value, _ in work.outcomes([0, 1])] == [1, 1]
    assert work.left.reasons == {
        "Z": "task 'more' was not asked for it",
        "5": "task 'more' was not asked for it",
        "nan": "why",
    }


def test_a_batch_answer_for_foreign_entities_alone_is_refused():
    @task(batch=True)
    def wrong(entity):
        return dict.fromkeys(["Z", "Y", "X", 5, "W"], 1)

    assert outcomes(wrong, source())["A"] == (
        AnswerError,
        "batch task 'wrong' answered for what it was not asked for: '5', 'W', 'X' and 2 more. Use the keys that it "
        "was given.",
    )


def test_a_series_of_pandas_is_a_mapping():
    @task(batch=True)
    def series(entity):
        return pd.Series([1.5, 2.5, 3.5], index=[str(key) for key in entity])

    assert outcomes(series, source()) == {"A": 1.5, "B": 2.5, "C": 3.5}


def test_a_bad_entity_in_a_batch_is_found_and_the_others_keep_their_answers():
    sizes = []

    @task(batch=True)
    def fragile(a):
        sizes.append(len(a))
        return {key: 1 / value for key, value in a.items()}

    keys = [f"E{i}" for i in range(16)]
    values = dict.fromkeys(keys, 1) | {"E11": 0}
    found = outcomes(fragile, source(make("a"), a=values), keys)
    assert found.pop("E11")[0] is ZeroDivisionError
    assert set(found.values()) == {1.0}
    assert sizes == [16, 8, 8, 4, 2, 2, 1, 1, 4]


def test_when_a_batch_is_halved_windows_are_halved_with_it():
    @task(batch=True, window={"a": "2h"})
    def fragile(a):
        if "B" in a.columns and a.shape[1] > 1:
            raise ValueError("together")
        return a.iloc[-1].to_dict()

    found = outcomes(fragile, source(make("a"), a={"A": 1, "B": 2, "C": 3}))
    assert found == {"A": 1.0, "B": 2.0, "C": 3.0}


def test_windows_stay_with_their_entities_where_others_are_left_out():
    @task(window={"a": "2h"})
    def last(a, b):
        return [a.name, a.iloc[-1], b]

    @task(batch=True, window={"a": "2h"})
    def lasts(a, b):
        return {key: [key, a[key].iloc[-1], b[key]] for key in a}

    where = source(make("a"), make("b"), a={"B": 2.0, "C": 3.0, "D": 4.0}, b={"A": 1, "B": 2, "D": 4})
    for one in (last, lasts):
        found = outcomes(one, where, list("ABCD"), positions=[3, 2, 1, 0])
        assert {key: value for key, value in found.items() if isinstance(value, list)} == {
            "B": ["B", 2.0, 2],
            "D": ["D", 4.0, 4],
        }


def test_a_batch_may_answer_with_what_kept_one_entity_from_a_value():
    @task(batch=True)
    def some(entity):
        return {"A": 1, "B": ValueError("no such route"), "C": 3}

    assert outcomes(some, source()) == {"A": 1, "B": (ValueError, "no such route"), "C": 3}


def test_a_batch_that_takes_too_long_fails_whole():
    @task(batch=True, time_limit="50ms")
    def slow(entity):
        time.sleep(30)

    assert set(outcomes(slow, source()).values()) == {(TimedOut, "not done within the time limit of 0.05 s")}


# A scope at a time


def shards(*groups):
    return [(partition, list(keys)) for partition, keys in groups]


def test_a_scoped_task_gets_a_chunk_for_each_shard_and_can_go_through_them_again():
    @task(per="partition")
    def total(entity, a):
        assert isinstance(a, Chunks)
        assert len(a) == 2
        return [sum(chunk.values()) for chunk in a] + [sum(chunk.values()) for chunk in a]

    where = source(make("a"), a={"A": 1, "B": 2, "C": 4})
    found = scoped(total, where, Entity("@P", partition="P"), shards(("P", "AB"), ("P", "CD")))
    assert found == ({"@P": [3, 4, 3, 4]}, None)


def test_a_scoped_task_that_answers_none_makes_no_pipe():
    @task(per="wave")
    def nothing(a): ...

    assert scoped(nothing, source(make("a")), Entity("@all"), shards(("P", "A"))) == ({}, None)


def test_a_scoped_task_that_raises_has_no_values():
    @task(per="wave")
    def broken(a):
        raise ValueError("no")

    values, error = scoped(broken, source(make("a")), Entity("@all"), shards(("P", "A")))
    assert values == {}
    assert isinstance(error, ValueError)


def test_a_scoped_task_keeps_its_time_limit():
    @task(per="wave", time_limit="50ms")
    def slow(a):
        time.sleep(30)

    _, error = scoped(slow, source(make("a")), Entity("@all"), shards(("P", "A")))
    assert isinstance(error, TimedOut)


def test_a_scoped_batch_may_answer_for_the_entities_of_its_scope_only():
    @task(per="partition", batch=True)
    def share(a):
        return {"A": 1, "Z": 2}

    left = LeftOut()
    scope = Entity("@P", partition="P")
    assert scoped(share, source(make("a")), scope, shards(("P", "AB")), left=left) == ({"A": 1}, None)
    assert left.lines() == ["Z: task 'share' was not asked for it"]
    assert checked(share, {"A": 1}, ["A", "B"], LeftOut()) == {"A": 1}, "a scoped task may leave entities out"


# The texts of errors


def failure(fn, *row) -> str:
    """What is said of a call that raises."""
    (found,) = Work(task(fn), source(), ["A"], None).outcomes([0])
    return describe(found[2])


def line_of(fn, offset: int = 1) -> int:
    return fn.__code__.co_firstlineno + offset


def test_an_error_says_its_kind_its_text_and_the_line():
    def broken(entity):
        raise ValueError("no such route")

    assert failure(broken) == f"ValueError: no such route (test_task_run.py:{line_of(broken)}, in broken)"


def test_an_error_without_a_text_says_so():
    def broken(entity):
        raise RuntimeError

    assert failure(broken) == f"RuntimeError: no message (test_task_run.py:{line_of(broken)}, in broken)"


def test_an_error_inside_a_library_names_the_users_line():
    def broken(entity):
        return json.loads("{")

    assert failure(broken).startswith("JSONDecodeError: ")
    assert failure(broken).endswith(f"(test_task_run.py:{line_of(broken)}, in broken)")


def test_an_error_in_a_function_that_the_task_calls_names_that_one():
    def helper():
        raise KeyError("x")

    def broken(entity):
        helper()

    assert failure(broken) == f"KeyError: 'x' (test_task_run.py:{line_of(helper)}, in helper)"


def test_an_error_of_ours_about_a_value_names_no_line_of_ours():
    _, errors = MemoryStore().encode({"A": {1}})
    assert describe(errors["A"]) == (
        "CodecError: the value is of type set, which would not come back as it is. Return sorted(...) of it."
    )


def test_an_error_of_a_run_is_said_as_it_is():
    assert describe(MissingInput(["a", "b"])) == "no a and no b at this date"
    assert describe(TimedOut("late")) == "late"


def test_a_long_error_is_cut():
    assert len(describe(ValueError("x" * 10_000))) < 2000
    assert len(describe(RunError("x" * 10_000))) < 2000


def test_an_error_that_cannot_be_shown_does_not_break_the_run():
    class Mute(Exception):
        def __str__(self):
            raise RuntimeError("mute")

    assert describe(Mute()) == "Mute: no message"


def test_an_error_with_what_no_text_can_hold_can_be_stored():
    name = b"caf\xe9".decode("utf-8", "surrogateescape")
    assert describe(FileNotFoundError(name)).encode() == b"FileNotFoundError: caf\\udce9"


def test_a_window_without_pandas_says_what_to_install(monkeypatch):
    @task(window={"a": "2h"})
    def forecast(a): ...

    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(RunError, match=r"needs pandas. Install it: pip install 'celery-waves\[arrow\]'"):
        outcomes(forecast, source(make("a"), a={"A": 1.0}))


def test_a_value_that_cannot_be_read_back_is_named():
    where = source(make("a"))
    where.store._keys["main/a A 2013-06-25T13"] = (b"{broken", 2**40)
    with pytest.raises(CodecError, match="main/a A 2013-06-25T13"):
        outcomes(make("b", "a"), where)
