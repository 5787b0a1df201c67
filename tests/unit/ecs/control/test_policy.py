"""How many tasks a backlog asks for: never fewer for more work, never none while there is work, always in bounds."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from ecs.control.policy import Bounds, SlowDown, Work, backlog_per_task, tasks_for_backlog, tasks_for_waves

seconds = st.floats(0, 1e9)
lengths = st.floats(0.1, 1e5)


@st.composite
def bounds(draw: st.DrawFn) -> Bounds:
    most = draw(st.integers(1, 5000))
    return Bounds(draw(st.integers(1, 64)), draw(st.integers(0, most)), most)


works = st.builds(
    Work,
    seconds=seconds,
    left=st.floats(-1e5, 1e5),
    path=st.floats(0, 1e4),
    units=st.none() | st.integers(0, 10**6),
    startup=st.floats(0, 600),
)


@given(seconds, st.integers(0, 10**7), lengths, bounds())
def test_tasks_lie_within_their_bounds_and_are_never_none_while_there_is_work(work, messages, within, limits):
    found = tasks_for_backlog(work, messages, within, limits)
    assert limits.least <= found <= limits.most
    assert found >= 1 or (work == 0 and messages == 0)


@given(seconds, seconds, st.integers(0, 100), lengths, bounds())
def test_more_backlog_never_asks_for_fewer_tasks(one, other, messages, within, limits):
    few, many = sorted([one, other])
    assert tasks_for_backlog(few, messages, within, limits) <= tasks_for_backlog(
        many, messages, within, limits
    )


@given(st.lists(works, max_size=5), st.integers(0, 1000), bounds())
def test_tasks_for_waves_lie_within_their_bounds_and_are_never_none_while_there_is_work(
    found, present, limits
):
    tasks = tasks_for_waves(found, present, limits)
    assert limits.least <= tasks <= limits.most
    assert tasks >= 1 or not any(work.seconds > 0 for work in found)


@given(works, seconds, st.integers(0, 1000), bounds())
def test_a_wave_with_more_work_never_asks_for_fewer_tasks(work, more, present, limits):
    grown = Work(work.seconds + more, work.left, work.path, work.units, work.startup)
    assert tasks_for_waves([work], present, limits) <= tasks_for_waves([grown], present, limits)


@given(seconds, st.integers(0, 10**6))
def test_the_backlog_per_task_is_a_number_also_at_zero_tasks(work, tasks):
    assert math.isfinite(backlog_per_task(work, tasks))
    assert backlog_per_task(work, 0) == work


def test_a_wave_gets_the_slots_that_end_it_in_time():
    assert tasks_for_waves([Work(600.0, left=120.0)], 0, Bounds(slots=1, most=50)) == 5
    assert tasks_for_waves([Work(600.0, left=120.0)], 0, Bounds(slots=2, most=50)) == 3
    assert tasks_for_waves([Work(600.0, left=120.0, path=20.0)], 0, Bounds(most=50)) == 6
    assert tasks_for_waves([Work(600.0, left=120.0)] * 2, 0, Bounds(most=50)) == 10


def test_tasks_that_have_yet_to_start_have_less_time():
    late = Work(600.0, left=160.0, startup=60.0)
    assert tasks_for_waves([late], 0, Bounds(most=50)) == 6
    assert tasks_for_waves([late], 4, Bounds(most=50)) == 4, "those that are there need no start"


def test_no_more_slots_are_asked_for_than_there_are_units():
    assert tasks_for_waves([Work(1e6, left=10.0, units=3)], 0, Bounds(most=50)) == 3


def test_a_wave_that_is_past_its_deadline_gets_tasks_all_the_same():
    assert tasks_for_waves([Work(100.0, left=-50.0)], 0, Bounds(most=50)) == 20


def test_work_that_costs_nothing_is_given_a_task():
    assert tasks_for_backlog(0.0, 1, 60.0, Bounds()) == 1


def test_a_count_rises_at_once_and_falls_to_the_largest_of_the_last_while():
    slow = SlowDown(hold=100.0)
    assert slow(0, 5, desired=1) == 5
    assert slow(50, 9, desired=5) == 9
    assert slow(60, 0, desired=9) == 9
    assert slow(149, 2, desired=9) == 9
    assert slow(151, 2, desired=9) == 2
    assert slow(248, 2, desired=2) == 2


def test_a_count_that_somebody_else_raised_is_not_lowered_by_one_who_just_came():
    slow = SlowDown(hold=100.0)
    assert slow(0, 1, desired=7) == 7
    assert slow(99, 1, desired=7) == 7
    assert slow(101, 1, desired=7) == 1


@given(st.lists(st.tuples(st.floats(0, 50), st.integers(0, 20)), min_size=1, max_size=60))
def test_a_count_never_lies_below_what_is_wanted_now(steps):
    slow, now, desired = SlowDown(hold=100.0), 0.0, 0
    for gap, wanted in steps:
        now += gap
        desired = slow(now, wanted, desired)
        assert desired >= wanted
