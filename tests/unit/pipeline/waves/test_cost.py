"""What waves cost."""

from __future__ import annotations

import pytest

from pipeline.waves.cost import Cost, money


def test_work_is_added_up_over_tasks_and_paid_by_the_hour():
    counts = {"a": {"us": 1_800_000_000, "F": 900}, "b": {"us": 1_800_000_000}, "c": {}}
    found = Cost.of(counts, 2000, 0.05)
    assert (found.seconds, found.total, found.per_thousand) == (3600.0, 0.05, 0.025)
    assert str(found) == "0.05, 0.025 per 1,000 entities of a task"


def test_where_nothing_ran_nothing_is_paid():
    found = Cost.of({}, 0, 0.05)
    assert (found.total, found.per_thousand) == (0.0, 0.0)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1234.5, "1,234.50"),
        (1.0, "1.00"),
        (0.123, "0.12"),
        (0.00031, "0.00031"),
        (4e-6, "0.000004"),
        (0.0, "0.00"),
    ],
)
def test_small_amounts_keep_their_figures(value, text):
    assert money(value) == text
