"""Schedules: which minute was due last."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import DurationError
from pipeline.flows.cron import Cron, due_hour

NOW = datetime(2013, 6, 25, 13, 30, tzinfo=UTC)  # a Tuesday
DAY = 86400.0


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("* * * * *", "2013-06-25T13:30"),
        ("5 * * * *", "2013-06-25T13:05"),
        ("30 * * * *", "2013-06-25T13:30"),
        ("31 * * * *", "2013-06-25T12:31"),
        ("*/20 * * * *", "2013-06-25T13:20"),
        ("7/20 * * * *", "2013-06-25T13:27"),
        ("1-9/4,50 * * * *", "2013-06-25T13:09"),
        ("0 6,18 * * *", "2013-06-25T06:00"),
        ("0 14 * * *", "2013-06-24T14:00"),
        ("0 0 31 * *", "2013-05-31T00:00"),
        ("0 0 * * 0", "2013-06-23T00:00"),
        ("0 0 * * 7", "2013-06-23T00:00"),
        ("0 0 * * 5-7", "2013-06-23T00:00"),
        ("0 0 * 1 *", "2013-01-31T00:00"),
        ("0 0 * jan *", "2013-01-31T00:00"),
        ("0 0 * * mon-fri", "2013-06-25T00:00"),
        ("0 0 L * *", "2013-05-31T00:00"),
        ("0 0 29 2 *", "2012-02-29T00:00"),
    ],
)
def test_the_last_match_is_the_newest_minute_that_the_line_names(line, expected):
    assert Cron.parse(line).last(NOW) == datetime.fromisoformat(expected).replace(tzinfo=UTC)


@pytest.mark.parametrize("line", ["5 * * *", "5 * * * * *", "", "hourly", None, 5])
def test_a_line_has_five_fields(line):
    with pytest.raises(DurationError) as caught:
        Cron.parse(line)
    assert str(caught.value) == (
        f"schedule {line!r} is not a cron line. Write five fields (UTC): '5 * * * *' is five past each hour."
    )


@pytest.mark.parametrize(
    ("line", "name", "part"),
    [
        ("x * * * *", "minute", "x"),
        ("60 * * * *", "minute", "60"),
        ("9-5 * * * *", "minute", "9-5"),
        ("* 24 * * *", "hour", "24"),
        ("* * 0 * *", "day-of-month", "0"),
        ("0 0 30 2 *", "day-of-month", "30"),
        ("* * * 13 *", "month", "13"),
        ("* * * * 8", "day-of-week", "8"),
        ("-5 * * * *", "minute", "-5"),
        ("5- * * * *", "minute", "5-"),
        ("*/ * * * *", "minute", "*/"),
        ("*/0 * * * *", "minute", "*/0"),
        ("*-5 * * * *", "minute", "*-5"),
        ("1,,2 * * * *", "minute", "1,,2"),
        ("² * * * *", "minute", "²"),
        ("0 0 * january *", "month", "january"),
    ],
)
def test_a_field_that_cannot_be_read_is_named(line, name, part):
    with pytest.raises(DurationError) as caught:
        Cron.parse(line)
    assert (
        f"schedule {line!r}: {name} {part!r} cannot be read, or never comes. Use *, 5, 1-5 or */15, within "
        in str(caught.value)
    )


def test_a_line_that_restricts_day_and_weekday_is_refused_because_it_is_read_in_two_ways():
    with pytest.raises(DurationError, match="restricts both the day of the month and the weekday"):
        Cron.parse("0 0 1 * 1")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("5 * * * *", 3600.0),
        ("*/15 * * * *", 900.0),
        ("0 6 * * *", DAY),
        ("0 6 * * 1", 7 * DAY),
        ("0 6-18 * * *", 3600.0),
        ("0 0 1 * *", 28 * DAY),
    ],
)
def test_the_period_is_the_shortest_time_between_two_matches(line, expected):
    assert Cron.parse(line).period(NOW) == expected


def test_the_date_of_the_wave_that_was_due_last_is_the_hour_of_the_last_match():
    assert due_hour("45 * * * *", NOW) == datetime(2013, 6, 25, 12, tzinfo=UTC)
    there = timezone(timedelta(hours=5, minutes=30))
    assert due_hour("5 6 * * *", NOW.astimezone(there)) == datetime(2013, 6, 25, 6, tzinfo=UTC)


fields = st.tuples(
    st.sampled_from(["*", "5", "*/15", "10-20/5", "1,31,59"]),
    st.sampled_from(["*", "0", "6-18", "*/6"]),
    st.sampled_from(["*", "1", "28-31"]),
    st.sampled_from(["*", "2", "1-6"]),
)


@settings(deadline=None, max_examples=30)
@given(fields, st.integers(0, 366 * 1440))
def test_no_match_lies_between_the_last_one_and_now(line, minutes):
    cron = Cron.parse(" ".join([*line, "*"]))
    now = datetime(2012, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes)
    last = cron.last(now)
    assert last <= now
    assert cron.last(last) == last
    assert cron.last(now - timedelta(minutes=1)) == (
        last if last < now else cron.last(last - timedelta(minutes=1))
    )
    assert cron.next(last - timedelta(seconds=1)) == last
    assert cron.next(last) > now


@pytest.mark.parametrize(
    ("line", "minute", "times", "first"),
    [
        ("*/15 * * * *", "*/15", 4, "0 * * * *"),
        ("0,30 * * * *", "0,30", 2, "0 * * * *"),
        ("* * * * *", "*", 60, "0 * * * *"),
        ("5,6 3 * * *", "5,6", 2, "5 3 * * *"),
        ("10-12 8-18 * * 1-5", "10-12", 3, "10 8-18 * * 1-5"),
    ],
)
def test_a_wave_is_of_an_hour_and_none_has_two(line, minute, times, first):
    with pytest.raises(DurationError) as caught:
        Cron.hourly(line)
    assert str(caught.value) == (
        f"schedule {line!r}: minute {minute!r} comes {times} times within an hour. A wave's date is an hour, so that "
        f"each hour has one wave at most. Name one minute: {first!r}."
    )


@pytest.mark.parametrize("line", ["5 * * * *", "*/60 * * * *", "7-7 3 * * 1", "59 */2 1 * *"])
def test_one_minute_of_an_hour_is_enough(line):
    assert Cron.hourly(line).line == line
