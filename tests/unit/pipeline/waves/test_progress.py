"""How far a wave is, from the counts that Redis holds."""

from __future__ import annotations

import pytest

from pipeline.gate.records import WaveInfo
from pipeline.waves.progress import Progress
from tests.support.graphs import flow_of, spec_of

SPEC = spec_of(flow_of({"a": (), "b": ("a",), "model": ("b",)}, {"model": "wave"}))  # thirty entities
COUNTS = {"a": {"B": 29, "D": 1, "us": 7}, "b": {"B": 10, "R": 2}}


def look(state: str, reason: str | None = None) -> Progress:
    return Progress.of(SPEC, WaveInfo(state, reason, 0, 0.0, 0.0, None, 0), COUNTS, 1.0)


def test_what_nobody_has_reported_of_an_open_wave_is_pending():
    found = look("open")
    assert found.tasks == {
        "a": {"finished": 29, "failed: error": 1},
        "b": {"finished": 10, "finished (late)": 2, "pending": 18},
        "model": {"pending": 1},
    }
    assert (found.ended, found.total, found.count("finished"), found.count("pending")) == (42, 61, 41, 19)
    assert str(found) == f"{SPEC.id}: open, 42 of 61 ended: 41 finished, 1 failed, 19 pending"


@pytest.mark.parametrize(
    ("reason", "text"),
    [("expired", "expired"), ("superseded", "expired"), ("cancelled", "cancelled")],
)
def test_what_a_wave_that_was_closed_early_left_is_skipped_for_its_reason(reason, text):
    found = look("closed", reason)
    assert found.tasks["b"] == {"finished": 10, "finished (late)": 2, f"skipped: {text}": 18}
    assert found.ended == found.total == 61
    assert str(found).startswith(f"{SPEC.id}: closed ({reason}), 61 of 61 ended: ")
