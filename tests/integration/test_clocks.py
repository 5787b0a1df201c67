"""Machines whose clock is wrong change nothing, and are named: real workers and beats, under libfaketime."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from pipeline import submit_wave
from pipeline.flows.discover import load_flows
from pipeline.flows.flow import Flow
from pipeline.flows.pipe import stamp
from pipeline.local.processes import Workers, celery_command, node_name, worker_command, worker_env
from pipeline.local.supervise import Processes
from pipeline.settings import Settings
from pipeline.waves.presence import present
from pipeline.waves.runtime import Runtime
from pipeline.waves.wave import Wave
from tests.support.clocks import wrong_clock
from tests.support.servers import until

FLOWS = str(Path(__file__).parent / "flows" / "clocks.py")
PLACES = [f"p{n}" for n in range(4)]


@pytest.fixture
def runtime(redis_url: str) -> Runtime:
    return Runtime(Settings(redis_url=redis_url, version="main"))


@pytest.fixture
def flow() -> Flow:
    return load_flows([FLOWS])["hourly"]


@pytest.fixture
def processes() -> Iterator[Processes]:
    with Processes(patience=5) as found:
        yield found


def start(processes: Processes, redis_url: str, kind: str, offset: str) -> None:
    """Start a worker or a beat whose clock is off."""
    name = f"{kind}{len(processes.children)}"
    worker = [*worker_command("main", 1, None, "prefork"), "-n", node_name(name)]
    command = worker if kind == "worker" else celery_command("beat", "-l", "INFO")
    processes.start(name, command, worker_env(redis_url, [FLOWS], "main") | wrong_clock(offset))


def wave_command(redis_url: str, offset: str, *words: str) -> subprocess.CompletedProcess[str]:
    """What `wave` says on a machine whose clock is off."""
    env = {**os.environ, **worker_env(redis_url, [FLOWS], "main"), **wrong_clock(offset)}
    command = [sys.executable, "-m", "pipeline.cli", *words]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)


def told(redis_url: str, *words: str, offset: str = "+0d") -> list[dict[str, str]]:
    """What a command tells as JSON."""
    found: list[dict[str, str]] = json.loads(wave_command(redis_url, offset, *words, "--json").stdout)
    return found


def settled(runtime: Runtime) -> datetime:
    """The present hour by Redis; in its last minute the next one, so that no test lies on both."""
    until(lambda: runtime.clock.look().minute < 59, 70)
    return runtime.clock.hour()


@pytest.mark.parametrize("offset", ["+30d", "-2h"])
def test_a_wave_on_a_worker_with_a_wrong_clock_is_as_any_other(runtime, redis_url, flow, processes, offset):
    hour = settled(runtime)
    start(processes, redis_url, "worker", offset)
    until(lambda: present(runtime.client), 40)
    wave = submit_wave(flow, runtime=runtime)
    assert wave.date == hour
    index = "unacked_index"
    until(lambda: runtime.client.zcard(index), 20)
    (_, taken), *_ = runtime.client.zrange(index, 0, -1, withscores=True)
    assert abs(taken - runtime.clock.time()) < 30
    wave.wait(60)
    assert wave.progress().count("finished") == 12, wave.errors()
    off = wave.result("slow", "p0") - runtime.clock.time()
    assert abs(off) > 7000, "its clock is wrong"
    left = (hour + timedelta(hours=2)).timestamp() - runtime.clock.time()
    for key in PLACES:
        ttl = runtime.store.ttl(f"main/look {key} {stamp(hour)}")
        assert max(left, 86400 - 60) - 60 < ttl < max(left, 86400) + 60
    series = list(runtime.client.scan_iter("main/look p0 series*"))
    assert all(runtime.client.ttl(key) > left for key in series)
    assert len(series) == 1
    assert wave.result("sums", "p1") == 1.5


def test_machines_whose_clock_is_wrong_are_named_by_doctor_alert_and_metrics(runtime, redis_url, processes):
    start(processes, redis_url, "worker", "+30d")
    with Workers(redis_url, flows=[FLOWS], count=1) as right:
        right.wait_ready()
        until(lambda: sum(p.kind == "worker" for p in present(runtime.client)) == 2, 40)
        (wrong,) = (p for p in present(runtime.client) if p.skew)
        assert abs(wrong.skew - 30 * 86400) < 60
        doctor = told(redis_url, "doctor")
        found = {one["check"]: one for one in doctor}
        assert found["clocks"]["level"] == "WARN"
        named = f"{wrong.host} (worker pid {wrong.pid}) is 30 d 0 h ahead of Redis"
        assert found["clocks"]["text"] == named
        assert found["clock"]["level"] == "OK"
        alerts = told(redis_url, "alert", "--quiet")
        assert [(one["what"], one["about"]) for one in alerts] == [("clock", wrong.host)]
        assert alerts[0]["text"].startswith(f"the clock of {named}. Let NTP set it")
    processes.stop()
    until(lambda: not present(runtime.client), 20)
    assert not runtime.client.exists("present:skewed")


@pytest.mark.parametrize(("beat", "worker"), [("+30d", "+30d"), ("+2h", "-2h"), ("-30d", "+2h")])
def test_beat_with_a_wrong_clock_starts_the_wave_that_is_due_by_redis(
    runtime, redis_url, processes, beat, worker
):
    hour = settled(runtime)
    start(processes, redis_url, "worker", worker)
    start(processes, redis_url, "beat", beat)
    until(runtime.records.ids, 60)
    until(lambda: runtime.records.scheduled([("main", "hourly")]), 20)
    assert runtime.records.scheduled([("main", "hourly")]) == {("main", "hourly"): stamp(hour)}
    wave = Wave.find(f"main/hourly {stamp(hour)}", runtime)
    assert wave.wait(60).progress().count("finished") == 12
    assert wave.spec.expiry == 3600
    assert runtime.records.ids() == [f"main/hourly {stamp(hour)}"]


def test_a_mark_of_an_hour_to_come_is_named_and_stops_nothing(runtime, redis_url, processes):
    hour = settled(runtime)
    later = stamp(hour + timedelta(days=30))
    runtime.client.set("scheduled:main/hourly", later)
    doctor = told(redis_url, "doctor")
    (marks,) = (one for one in doctor if one["check"] == "scheduled marks")
    assert (marks["level"], marks["text"]) == ("WARN", f"of an hour to come: main/hourly {later}")
    alerts = told(redis_url, "alert", "--quiet")
    assert [(one["what"], one["about"]) for one in alerts] == [("schedule", "main/hourly")]
    start(processes, redis_url, "worker", "+0d")
    start(processes, redis_url, "beat", "+0d")
    until(lambda: runtime.client.get("scheduled:main/hourly").decode() == stamp(hour), 60)
    assert runtime.records.ids() == [f"main/hourly {stamp(hour)}"]


def test_a_wave_that_old_code_began_for_an_hour_to_come_makes_no_later_one_look_well(
    runtime, redis_url, flow
):
    hour = settled(runtime)
    ahead = submit_wave(flow, date=hour + timedelta(days=30), entities={}, runtime=runtime)
    assert ahead.info().reason == "empty"
    runtime.client.set("seen:main/hourly", int(hour.timestamp()) - 7200)
    runtime.client.hset(f"wave:{ahead.id}", "submitted", round((hour.timestamp() - 7200) * 1000))
    alerts = told(redis_url, "alert", "--quiet")
    late = (runtime.clock.look() - hour).total_seconds() > 900
    assert [one["what"] for one in alerts] == ["late"] * late


@pytest.mark.parametrize("offset", ["+30d", "-30d"])
def test_the_command_takes_the_hour_from_redis(runtime, redis_url, offset):
    hour = settled(runtime)
    said = wave_command(redis_url, offset, "submit", "hourly", "--json")
    assert said.returncode == 0, said.stderr
    assert json.loads(said.stdout)["wave"] == f"main/hourly {stamp(hour)}"
    at = stamp(hour + timedelta(hours=1))
    refused = wave_command(redis_url, offset, "submit", "hourly", "--date", at)
    assert refused.returncode == 2
    assert f"date {at} is later than the present hour, {stamp(hour)} (UTC)" in refused.stderr
    clock = told(redis_url, "doctor", offset=offset)
    (own,) = (one for one in clock if one["check"] == "clock")
    assert (own["level"], "d" in own["text"]) == ("FAIL", True)
