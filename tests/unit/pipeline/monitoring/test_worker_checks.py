"""The checks of `wave doctor` on who works, from facts."""

from __future__ import annotations

from pipeline import Flow, task
from pipeline.monitoring.findings import FAIL, OK, WARN, Facts
from pipeline.monitoring.worker_checks import check_workers
from pipeline.waves.presence import BEAT, WORKER, Process


@task(time_limit="5m", queue="special")
def quick(entity):
    return 1


@task(time_limit="7h")
def endless(entity):
    return 1


FLOW = Flow("flow", [quick], schedule="5 * * * *")
QUEUES = ("main.control", "main.solo", "main.special")
WORKERS = (Process(WORKER, "main", "host", 1, QUEUES, 4), Process(BEAT, "main", "host", 2))


def look(**facts):
    given = {"version": "main", "flows": (FLOW,), "control": {}, "processes": WORKERS} | facts
    return {finding.check: finding for finding in check_workers(Facts(**given))}


def test_where_all_is_served_there_is_nothing_to_say():
    found = look()
    assert {finding.level for finding in found.values()} == {OK}
    assert found["keepers"].text == "1 look at 0 deadlines"
    assert found["queue main.special"].text == "1 workers, 4 slots, 0 messages wait"


def test_a_time_limit_beyond_the_visibility_timeout_is_named():
    found = look(flows=(Flow("long", [quick, endless]),))["time limits"]
    assert found.level == FAIL
    assert "long.endless" in found.text
    assert "quick" not in found.text


def test_a_queue_without_a_worker_is_worse_when_something_waits_in_it():
    idle = look(processes=())
    assert {f.level for name, f in idle.items() if name.startswith("queue")} == {WARN}
    busy = look(processes=(), depths={"main.special": 3})
    assert busy["queue main.special"].level == FAIL
    assert "Start a worker with -Q main.special" in busy["queue main.special"].advice
    assert busy["queue main.solo"].level == WARN
    assert look(processes=(), depths={"main.solo": 1})["queue main.solo"].level == FAIL


def test_workers_of_another_version_are_no_help():
    other = (Process(WORKER, "other", "host", 1, ("other.special",), 4), Process(BEAT, "other", "host", 2))
    found = look(processes=other)
    assert found["queue main.special"].level == WARN
    assert found["beat"].level == FAIL
    assert "nobody starts flow" in found["beat"].text
    assert found["keepers"].level == OK  # a keeper keeps the deadlines of all versions


def test_no_beat_is_fine_where_nothing_has_a_schedule():
    assert look(flows=(), processes=())["beat"].level == OK


def test_deadlines_that_nobody_looks_at_are_a_failure():
    found = look(processes=(), deadlines=7, overlooked=tuple(f"main/f 2026-01-01T00 a {n}" for n in range(5)))
    assert found["keepers"].level == FAIL
    assert found["deadlines"].level == FAIL
    assert "5 are more than 30 s past" in found["deadlines"].text
    assert found["deadlines"].text.endswith("and 2 more")
