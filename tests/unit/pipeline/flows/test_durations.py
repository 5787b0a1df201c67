"""Lengths of time and rates, as people write them."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import DefinitionError, DurationError
from pipeline.flows import durations


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("90s", 90.0),
        ("5m", 300.0),
        ("2h", 7200.0),
        ("28d", 28 * 86400.0),
        ("1w", 7 * 86400.0),
        ("250ms", 0.25),
        ("1.5h", 5400.0),
        ("1h30m", 5400.0),
        (" 1 h 30 m ", 5400.0),
        (90, 90.0),
        (0.5, 0.5),
        (timedelta(minutes=5), 300.0),
    ],
)
def test_lengths_of_time_are_read_in_every_form(written, expected):
    assert durations.seconds(written) == expected


@pytest.mark.parametrize(
    "written", ["", " ", "5", "m", "5 minutes", "5M", "-5m", "5m!", "1.2.3h", True, None, []]
)
def test_what_is_no_length_of_time_is_refused_with_an_example(written):
    with pytest.raises(DurationError) as caught:
        durations.seconds(written, "task 'delay': ttl")
    assert str(caught.value) == (
        f"task 'delay': ttl {written!r} is not a length of time. Write it like '90s', '5m', '2h' or '28d'."
    )


@pytest.mark.parametrize("written", [0, -1, "0s", float("nan"), float("inf"), "9" * 400 + "d", timedelta(0)])
def test_a_length_of_time_is_longer_than_zero_and_finite(written):
    with pytest.raises(DurationError, match="must be longer than zero and finite"):
        durations.seconds(written)


def test_a_wrong_duration_is_an_error_of_the_definition_and_of_the_value():
    assert issubclass(DurationError, DefinitionError)
    assert issubclass(DurationError, ValueError)


@pytest.mark.parametrize(
    ("written", "expected"), [("50/s", 50.0), ("90/m", 1.5), ("7200/h", 2.0), (" 0.5 / s ", 0.5)]
)
def test_rates_are_read_as_calls_a_second(written, expected):
    assert durations.per_second(written) == expected


@pytest.mark.parametrize("written", ["50", "50/d", "0/s", "-1/s", "/s", "fast", 50, None])
def test_what_is_no_rate_is_refused_with_an_example(written):
    with pytest.raises(DurationError) as caught:
        durations.per_second(written, "task 'weather': rate")
    assert (
        str(caught.value)
        == f"task 'weather': rate {written!r} is not a rate. Write it like '50/s', '100/m' or '1000/h'."
    )


@pytest.mark.parametrize(
    ("value", "expected"),
    [(1, "1s"), (90, "90s"), (300, "5m"), (5400, "90m"), (86400, "1d"), (28 * 86400, "28d"), (0.25, "0.25s")],
)
def test_seconds_are_written_in_the_largest_whole_unit(value, expected):
    assert durations.text(value) == expected


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 10**8))
def test_what_is_written_reads_the_same(value):
    assert durations.seconds(durations.text(value)) == value
