"""Calling a user's function: within its time limit, and one entity's failure never touches another."""

from __future__ import annotations

import asyncio
import contextvars
import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import AnswerError, TimedOut
from pipeline.execution.calls import halving, in_turn


class Ends(BaseException):
    """What a user made to pass every `except Exception`."""


LIMIT = 30.0  # seconds, where the limit is not what is looked at


@pytest.fixture(autouse=True)
def no_alarm_is_left():
    """A handler and a timer are as before, whatever a test did."""
    handler, timer = signal.getsignal(signal.SIGALRM), signal.getitimer(signal.ITIMER_REAL)
    yield
    assert signal.getsignal(signal.SIGALRM) is handler
    assert (signal.getitimer(signal.ITIMER_REAL)[0] > 0) == (timer[0] > 0)


@pytest.fixture(params=["here", "threads", "elsewhere"])
def call(request):
    """`in_turn`, where an alarm guards it, in threads of its own, and from another thread."""

    def here(fn, rows, limit=LIMIT):
        return sorted(in_turn(fn, rows, limit), key=lambda answer: answer[0])

    def threads(fn, rows, limit=LIMIT):
        return sorted(in_turn(fn, rows, limit, threads=4), key=lambda answer: answer[0])

    def elsewhere(fn, rows, limit=LIMIT):
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(here, fn, rows, limit).result()

    return {"here": here, "threads": threads, "elsewhere": elsewhere}[request.param]


def kinds(answers) -> list[type]:
    """What each answer is: the type of its error, or of its value."""
    return [type(value) if error is None else type(error) for _, value, error in answers]


# One at a time


def test_each_row_is_called_with_its_own_values(call):
    assert call(lambda a, b: a - b, [(3, 1), (5, 2), (0, 0)]) == [(0, 2, None), (1, 3, None), (2, 0, None)]


def test_no_rows_are_no_calls(call):
    assert call(lambda: 1, []) == []


@pytest.mark.parametrize(
    "raised",
    [ValueError, SystemExit, MemoryError, asyncio.CancelledError, GeneratorExit, KeyboardInterrupt, Ends],
)
def test_what_one_call_raises_leaves_the_others_alone(call, raised):
    def fn(i):
        if i == 1:
            raise raised("no")
        return i

    assert kinds(call(fn, [(0,), (1,), (2,)])) == [int, raised, int]


def test_an_exit_of_the_users_is_that_entitys_error(call):
    answers = call(lambda i: exit(3) if i == 0 else i, [(0,), (1,)])
    assert kinds(answers) == [SystemExit, int]
    assert answers[0][2].code == 3


def test_ctrl_c_ends_a_run_that_is_guarded_in_this_thread():
    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        list(in_turn(lambda i: os.kill(os.getpid(), signal.SIGINT), [(0,), (1,)], LIMIT))
    assert signal.getsignal(signal.SIGINT) is handler


def test_a_worker_that_hears_ctrl_c_goes_on_with_the_run():
    """Its handler raises nothing: it ends once what runs has ended."""
    heard = []
    before = signal.signal(signal.SIGINT, lambda *_: heard.append(1))
    try:

        def fn(i):
            os.kill(os.getpid(), signal.SIGINT)
            raise ValueError(i)

        assert kinds(in_turn(fn, [(0,), (1,)], LIMIT)) == [ValueError, ValueError]
    finally:
        signal.signal(signal.SIGINT, before)
    assert heard == [1, 1]


def test_a_call_that_takes_too_long_is_cut_off_with_those_after_it(call):
    hang = threading.Event()

    def fn(i):
        if i == 1:
            hang.wait(LIMIT)
        return i

    since = time.monotonic()
    answers = call(fn, [(0,), (1,), (2,)] if call.__name__ != "threads" else [(0,), (1,)], 0.5)
    assert time.monotonic() - since < 5
    hang.set()
    assert answers[0] == (0, 0, None)
    assert set(kinds(answers[1:])) == {TimedOut}
    assert str(answers[1][2]) == "not done within the time limit of 0.5 s"


def test_many_short_calls_end_at_the_limit_too(call):
    def fn(i):
        time.sleep(0.0005)
        return i

    since = time.monotonic()
    answers = call(fn, [(i,) for i in range(20_000)], 0.3)
    assert time.monotonic() - since < 5
    assert len(answers) == 20_000
    assert set(kinds(answers)) == {int, TimedOut}


def test_except_exception_of_the_users_does_not_eat_the_limit():
    def fn():
        try:
            time.sleep(LIMIT)
        except Exception:
            return "eaten"

    assert kinds(in_turn(fn, [()], 0.1)) == [TimedOut]


def test_a_limit_that_comes_while_an_answer_is_used_strikes_no_one():
    answers = []
    for answer in in_turn(lambda i: i, [(0,), (1,)], 0.3):
        answers.append(answer)
        time.sleep(0.4)  # as long as a slow store takes; the alarm comes now
    assert kinds(answers) == [int, TimedOut]


def test_an_iterator_that_is_left_early_leaves_no_alarm():
    answers = in_turn(lambda i: i, [(0,), (1,)], LIMIT)
    next(answers)
    assert signal.getitimer(signal.ITIMER_REAL)[0] > 0
    answers.close()


def test_the_alarm_of_somebody_else_comes_when_it_was_due():
    struck = threading.Event()
    before = signal.signal(signal.SIGALRM, lambda *_: struck.set())
    rest, _ = signal.setitimer(signal.ITIMER_REAL, 0.6)
    try:
        assert kinds(in_turn(lambda: time.sleep(0.02), [()], LIMIT)) == [type(None)]
        assert not struck.is_set()
        assert 0 < signal.getitimer(signal.ITIMER_REAL)[0] < 0.6
        assert struck.wait(5)
    finally:
        signal.signal(signal.SIGALRM, before)
        signal.setitimer(signal.ITIMER_REAL, rest)


def test_one_guarded_call_inside_another_keeps_both_limits():
    def outer():
        inner = kinds(in_turn(lambda: time.sleep(LIMIT), [()], 0.05))
        time.sleep(LIMIT)
        return inner

    assert kinds(in_turn(outer, [()], 0.3)) == [TimedOut]


def test_threads_share_the_work():
    together = threading.Barrier(4, timeout=10)
    assert (
        kinds(in_turn(lambda i: together.wait() * 0 + i, [(i,) for i in range(8)], LIMIT, threads=4))
        == [int] * 8
    )


def test_a_thread_knows_the_context_of_who_started_it():
    wave = contextvars.ContextVar("wave", default="none")
    token = wave.set("main/delays 2013-06-25T13")
    answers = list(in_turn(lambda: wave.get(), [(), ()], LIMIT, threads=2))
    wave.reset(token)
    assert [value for _, value, _ in answers] == ["main/delays 2013-06-25T13"] * 2


def test_threads_begin_no_call_after_the_limit():
    calls, hang, before = [], threading.Event(), set(threading.enumerate())

    def fn(i):
        calls.append(i)
        hang.wait(LIMIT)

    answers = list(in_turn(fn, [(i,) for i in range(10)], 0.1, threads=2))
    assert kinds(answers) == [TimedOut] * 10
    hang.set()
    for thread in set(threading.enumerate()) - before:
        thread.join(10)
        assert not thread.is_alive()
    assert len(calls) == 2


# By halves


def halve(call, size, limit=LIMIT) -> dict[int, object]:
    """What each index got: its value or its error."""
    found = {}
    for part, value, error in halving(call, size, limit):
        for i in part:
            assert i not in found
            found[i] = error if error is not None else value
    return found


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 60), st.sets(st.integers(0, 59)))
def test_halving_isolates_the_bad_and_keeps_the_others(size, bad):
    calls = []

    def call(part):
        calls.append(part)
        if bad & set(part):
            raise ValueError("no")
        return "fine"

    found = halve(call, size)
    assert set(found) == set(range(size))
    for i, came in found.items():
        assert isinstance(came, ValueError) if i in bad else came == "fine"
    inside = len([i for i in bad if i < size])
    assert len(calls) <= 1 + 2 * inside * max(size.bit_length(), 1)


def test_a_batch_without_a_bad_entity_is_called_once():
    calls = []
    assert halve(lambda part: calls.append(part) or "fine", 500) == dict.fromkeys(range(500), "fine")
    assert calls == [range(500)]


def test_an_exit_in_a_batch_is_halved_like_any_error():
    found = halve(lambda part: exit(1) if 3 in part else "fine", 8)
    assert [i for i, came in found.items() if isinstance(came, SystemExit)] == [3]


def test_an_answer_for_others_is_not_asked_for_again():
    calls = []

    def call(part):
        calls.append(part)
        raise AnswerError("foreign")

    assert set(map(type, halve(call, 8).values())) == {AnswerError}
    assert len(calls) == 1


def test_a_batch_that_takes_too_long_is_not_tried_again():
    calls = []

    def call(part):
        calls.append(part)
        time.sleep(LIMIT)

    found = halve(call, 8, limit=0.1)
    assert set(map(type, found.values())) == {TimedOut}
    assert str(found[0]) == "not done within the time limit of 0.1 s"
    assert len(calls) == 1


def test_all_halves_together_stay_within_the_limit():
    def call(part):
        time.sleep(0.05)
        raise ValueError("no")

    since = time.monotonic()
    found = halve(call, 64, limit=0.3)
    assert time.monotonic() - since < 5
    assert set(found) == set(range(64))
    assert set(map(type, found.values())) == {ValueError, TimedOut} or set(map(type, found.values())) == {
        TimedOut
    }
