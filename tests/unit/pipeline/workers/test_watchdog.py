"""What a watchdog makes of what its worker tells."""

from __future__ import annotations

import json

from pipeline.gate.units import Unit
from pipeline.workers.watchdog import FROZEN, SILENT, Heard


def line(*words) -> bytes:
    return (json.dumps(words) if words else "").encode() + b"\n"


def test_runs_are_known_from_their_begin_to_their_end():
    heard = Heard(0.0)
    heard.hear(
        line(0, "main/f 2026-05-01T07", "a", "0", False, 10.0) + line(1, "w", "b", "@x", True, 20.0), 1.0
    )
    assert [(run.unit, run.alone) for run in heard.runs.values()] == [
        (Unit("a", "0"), False),
        (Unit("b", "@x"), True),
    ]
    heard.hear(line(0) + line(7), 2.0)
    assert list(heard.runs) == [1]


def test_a_line_may_come_in_pieces():
    heard, text = Heard(0.0), line(0, "w", "a", "0", False, 10.0)
    for n in range(len(text)):
        heard.hear(text[n : n + 1], 1.0)
    assert len(heard.runs) == 1


def test_a_worker_that_lives_is_never_frozen_however_long_it_runs():
    heard = Heard(0.0)
    heard.hear(line(0, "w", "a", "0", False, 10.0), 0.0)
    for now in range(1, 100):
        heard.hear(line(), float(now))
        assert not heard.silent(now + SILENT / 2)
        assert not heard.frozen(now + SILENT / 2)


def test_a_worker_that_stands_still_is_frozen_from_the_earliest_limit_on():
    heard = Heard(0.0)
    heard.hear(line(0, "w", "a", "0", False, 60.0) + line(1, "w", "b", "0", False, 10.0), 0.0)
    assert heard.silent(SILENT)
    assert not heard.frozen(9.9)
    assert heard.frozen(10.0)


def test_a_limit_that_has_just_passed_gives_time_to_say_so():
    heard = Heard(0.0)
    heard.hear(line(0, "w", "a", "0", False, 10.0), 9.5)
    assert not heard.frozen(9.5 + FROZEN - 0.1)
    assert heard.frozen(9.5 + FROZEN)


def test_a_worker_that_runs_nothing_may_stand_still():
    assert not Heard(0.0).frozen(1e6)
