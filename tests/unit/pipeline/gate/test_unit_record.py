from __future__ import annotations

import pytest

from pipeline.gate.unit_record import Condition, why_open


@pytest.mark.parametrize(
    ("record", "condition"),
    [
        ("running 2 1 1767225600500 1767225900000 host/7.1 1", Condition("running", 2, 1, 1767225600.5)),
        ("done 1 0 1767225600500 1767225900000 - 0", Condition("done", 1, 0, 1767225600.5)),
        ("pending 0 3 0 0 - 0", Condition("pending", 0, 3)),
    ],
)
def test_a_record_of_the_gate_is_read(record, condition):
    assert Condition.read(record) == condition


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
