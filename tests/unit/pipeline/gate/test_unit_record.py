from __future__ import annotations

import pytest

from pipeline.errors import UnreadableError
from pipeline.gate.unit_record import Condition, why_open


@pytest.mark.parametrize(
    ("record", "condition"),
    [
        ("1 running 2 1 1767225600500 1767225900000 host/7.1 1", Condition("running", 2, 1, 1767225600.5)),
        ("1 done 1 0 1767225600500 1767225900000 - 0", Condition("done", 1, 0, 1767225600.5)),
        ("1 pending 0 3 0 0 - 0 of-later-code", Condition("pending", 0, 3)),
    ],
)
def test_a_record_of_the_gate_is_read(record, condition):
    assert Condition.read(record) == condition


@pytest.mark.parametrize(
    ("record", "text"),
    [
        (
            "2 running 1 0 5 9 host 0",
            "has form 2, and this process reads up to form 1. Start one of the code",
        ),
        (
            "r 1 0 1767225600500 1767225900000 host/7.1 0",
            "does not say its form: it is damaged, or of 0.1.0.",
        ),
    ],
)
def test_a_record_that_cannot_be_read_says_why(record, text):
    with pytest.raises(UnreadableError, match=text):
        Condition.read(record)


@pytest.mark.parametrize(
    ("condition", "need", "text"),
    [
        (None, 0, "no worker took it from queue main.compute"),
        (None, 2, "its inputs were still open"),
        (Condition("pending", 0, 1), 2, "its inputs were still open"),
        (Condition("pending", 0, 0), 2, "no worker took it from queue main.compute"),
        (Condition("pending", 1, 0), 0, "it was to be run again"),
        (Condition("running", 3, 0), 0, "it was running (attempt 3)"),
    ],
)
def test_what_was_not_done_says_why(condition, need, text):
    assert why_open(condition, need, "main.compute") == text
