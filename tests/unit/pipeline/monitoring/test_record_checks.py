"""The check of `wave doctor` on the form of what lies in Redis, from facts."""

from __future__ import annotations

from pipeline.forms import FORM
from pipeline.monitoring.findings import FAIL, OK, WARN, Facts
from pipeline.monitoring.record_checks import check_records
from pipeline.waves.presence import WORKER, Process

DRAIN = (
    "From 0.1.0 one upgrades by draining: stop the new processes and the old beat, let the old workers end their "
    "waves, or cancel them with the old command; then stop these and start the new ones. Waves that have ended are "
    "forgotten when their ttl is over."
)


def worker(form: int = FORM) -> Process:
    return Process(WORKER, "main", "host", 7, form=form)


def look(*processes: Process, **facts):
    return check_records(Facts("main", (), {}, processes=processes, **facts))


def test_where_all_is_read_it_says_which_form_new_waves_have():
    (found,) = look(worker())
    assert (found.level, found.text) == (OK, f"new waves have form {FORM}")


def test_who_does_not_read_the_newest_form_yet_is_counted(monkeypatch):
    monkeypatch.setattr("pipeline.monitoring.record_checks.FORM", 3)
    (found,) = look(worker(3), worker(2), worker(3))
    assert (found.level, found.text) == (OK, "new waves have form 2, not 3: 1 processes do not read it yet")


def test_waves_of_0_1_0_are_named_and_how_one_upgrades_from_there():
    waves = tuple(f"main/delays 2026-05-01T0{n}" for n in range(4))
    (found,) = look(worker(), deadlines=3, unversioned=waves)
    assert (found.level, found.check, found.advice) == (FAIL, "records of 0.1.0", DRAIN)
    assert found.text == (
        "this code cannot read them, nor 0.1.0 what it writes: wave main/delays 2026-05-01T00, "
        "wave main/delays 2026-05-01T01, wave main/delays 2026-05-01T02 and 1 more"
    )
    assert look(worker(), unversioned=waves)[0].level == WARN  # with no deadline all of them have ended


def test_workers_of_0_1_0_are_named():
    (found,) = look(worker(), worker(form=0))
    assert (found.level, found.advice) == (FAIL, DRAIN)
    assert found.text.endswith("what it writes: worker host pid 7")


def test_what_could_not_be_read_is_named():
    (found,) = look(worker(), unreadable=("a: why", "b: why", "c: why", "d: why"))
    assert (found.level, found.check) == (WARN, "records")
    assert found.text == (
        "4 could not be read within the last day, and were set aside: a: why, b: why, c: why and 1 more"
    )
    assert found.advice == (
        "All else goes on. Find who wrote them; `redis-cli ZRANGE unreadable 0 -1` lists all, DEL unreadable "
        "forgets them."
    )
