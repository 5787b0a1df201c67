"""Statuses in one byte."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.gate import status
from pipeline.gate.status import (
    CANCELLED,
    DEGRADED,
    EMPTY,
    ERROR,
    EXPIRED,
    FINISHED,
    LATE,
    MISSING,
    PENDING,
    PENDING_CHAR,
    TIMED_OUT,
    WORKER_LOST,
    Status,
)

CODES = (PENDING, FINISHED, EMPTY, ERROR, TIMED_OUT, WORKER_LOST, MISSING, EXPIRED, CANCELLED)
MARKS = (0, LATE, DEGRADED, LATE | DEGRADED)
chars = st.builds(status.char, st.sampled_from(CODES), st.sampled_from(MARKS))


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (PENDING, "pending"),
        (FINISHED, "finished"),
        (EMPTY, "finished (empty)"),
        (ERROR, "failed: error"),
        (TIMED_OUT, "failed: timed out"),
        (WORKER_LOST, "failed: worker lost"),
        (MISSING, "skipped: missing input"),
        (EXPIRED, "skipped: expired"),
        (CANCELLED, "skipped: cancelled"),
    ],
)
def test_each_code_reads_as_a_status_with_its_reason(code, text):
    assert str(status.decode(status.char(code))) == text


def test_marks_are_shown_and_read_back():
    found = status.decode(status.char(FINISHED, LATE | DEGRADED))
    assert found == Status("finished", late=True, degraded=True)
    assert str(found) == "finished (late, degraded)"
    assert status.decode(status.char(EMPTY)).observed is False


def test_the_characters_are_what_redis_cli_shows():
    assert (PENDING_CHAR, status.char(FINISHED), status.char(ERROR)) == ("@", "B", "D")
    every = [status.char(code, marks) for code in CODES for marks in MARKS]
    assert len(set(every)) == len(every), "no two mean the same"
    assert all(c.isascii() and c.isprintable() and c not in ' "\\' for c in every)


@given(st.sampled_from(CODES), st.sampled_from(MARKS))
def test_a_code_is_read_past_its_marks(code, marks):
    assert status.code(status.char(code, marks)) == code
    assert status.done(status.char(code, marks)) == (code in (FINISHED, EMPTY))


@given(st.lists(chars, max_size=8))
def test_late_marks_those_that_finished_since(characters):
    now = "".join(characters)
    assert status.with_late(now, now) == now
    marked = status.with_late(now, PENDING_CHAR * len(now))
    for before, after in zip(now, marked, strict=True):
        assert status.code(after) == status.code(before)
        assert status.decode(after).late == (status.done(before) or status.decode(before).late)


def test_what_is_pending_in_a_closed_wave_reads_as_skipped_for_its_reason():
    characters = PENDING_CHAR + status.char(FINISHED) + PENDING_CHAR
    assert [str(status.decode(c)) for c in status.settle(characters, "cancelled")] == [
        "skipped: cancelled",
        "finished",
        "skipped: cancelled",
    ]
    assert str(status.decode(status.settle(PENDING_CHAR, "expired"))) == "skipped: expired"
