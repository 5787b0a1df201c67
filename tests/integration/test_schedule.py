"""Scheduled waves: what is due, what is too late, and what happens to a wave that takes longer than its period."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from pipeline import Flow, State, task
from pipeline.app import settings
from pipeline.settings import Settings
from pipeline.waves.runtime import Runtime
from pipeline.waves.submit import submit_scheduled
from pipeline.workers.schedule import DueWave

NOON = datetime(2026, 5, 1, 12, 7, tzinfo=UTC)
HOUR = timedelta(hours=1)


@task
def nothing(entity: str) -> int:
    return 1


flow = Flow("hourly", [nothing], state=State("places", ttl="9d"), schedule="5 * * * *")


@pytest.fixture
def runtime(redis_url: str) -> Runtime:
    found = Runtime(Settings(redis_url=redis_url, version="main"))
    found.states.bind(flow.state).add("a")
    return found


def test_a_wave_is_about_the_hour_that_was_due(runtime):
    wave = submit_scheduled(flow, "2026-05-01T12", NOON, runtime)
    assert wave.id == "main/hourly 2026-05-01T12"


def test_a_request_that_comes_too_late_starts_nothing(runtime):
    assert submit_scheduled(flow, "2026-05-01T11", NOON, runtime) is None
    assert submit_scheduled(flow, "2026-05-01T12", NOON, runtime) is not None
    assert runtime.records.ids() == ["main/hourly 2026-05-01T12"]


def test_an_hour_that_is_not_due_yet_is_never_started(runtime, caplog):
    for date in ("2026-05-01T13", "2026-05-31T12"):
        assert submit_scheduled(flow, date, NOON, runtime) is None
    assert submit_scheduled(flow, "2026-05-01T12", NOON.replace(minute=4), runtime) is None
    assert runtime.records.ids() == []
    assert runtime.records.scheduled([("main", flow.name)]) == {}
    assert "not due yet; the clock of the beat that asked is wrong" in caplog.text


def test_a_mark_of_an_hour_to_come_stops_nothing_and_is_replaced(runtime, monkeypatch):
    monkeypatch.setattr("pipeline.workers.schedule.runtime", lambda: runtime)
    version = settings.own_version()
    runtime.records.note_scheduled(version, flow.name, "2026-05-31T12")
    assert DueWave(flow, lambda: NOON).is_due(NOON).is_due
    runtime.records.note_scheduled("main", flow.name, "2026-05-31T12")
    assert submit_scheduled(flow, "2026-05-01T12", NOON, runtime) is not None
    assert runtime.records.scheduled([("main", flow.name)]) == {("main", flow.name): "2026-05-01T12"}


def test_a_mark_that_a_schedule_of_before_has_left_still_holds(runtime):
    daily = Flow("hourly", [nothing], state=flow.state, schedule="5 3 * * *")
    runtime.records.note_scheduled("main", flow.name, "2026-05-01T12")
    assert submit_scheduled(daily, "2026-05-01T03", NOON, runtime) is None


def test_beat_goes_on_while_redis_does_not_answer():
    gone = Runtime(Settings(redis_url="redis://127.0.0.1:1/0", version="main"), patience=0.1)
    due = DueWave(flow, gone.clock.look)
    assert due.is_due(NOON) == (False, 5.0)
    assert due.now() - due.now() < timedelta(seconds=1)


def test_the_hours_of_an_outage_do_not_pile_up(runtime):
    asked = [(NOON - n * HOUR).strftime("%Y-%m-%dT%H") for n in range(48, -1, -1)]
    started = [submit_scheduled(flow, date, NOON, runtime) for date in asked]
    assert [wave is not None for wave in started] == [False] * 48 + [True]


def test_a_wave_that_is_still_open_when_the_next_is_due_is_closed_and_says_so(runtime):
    older = submit_scheduled(flow, "2026-05-01T12", NOON, runtime)
    newer = submit_scheduled(flow, "2026-05-01T13", NOON + HOUR, runtime)
    assert older.info().reason == "superseded"
    assert str(older.statuses("nothing")["a"]) == "skipped: expired"
    assert "closed (superseded)" in str(older.progress())
    assert not newer.closed


def test_asking_twice_for_a_wave_starts_one(runtime):
    first = submit_scheduled(flow, "2026-05-01T12", NOON, runtime)
    second = submit_scheduled(flow, "2026-05-01T12", NOON, runtime)
    assert first.id == second.id
    assert not first.closed


def test_beat_asks_until_the_wave_was_started_with_a_pause_between(runtime, monkeypatch):
    monkeypatch.setattr("pipeline.workers.schedule.runtime", lambda: runtime)
    due = DueWave(flow, lambda: NOON)
    date = "2026-05-01T12"
    assert [due.is_due(NOON).is_due for _ in range(2)] == [True, True]
    assert due.asked() == date
    assert not due.is_due(NOON).is_due
    assert due.is_due(NOON).next == 60
    monkeypatch.setattr("pipeline.workers.schedule.ASK_AGAIN", 0.0)
    assert due.is_due(NOON).is_due
    runtime.records.note_scheduled(settings.own_version(), flow.name, date)
    assert not due.is_due(NOON).is_due
