"""Waves by command, on real workers: submit, list, show, follow, cancel, retry, backfill."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from redis import Redis

from pipeline.local.processes import Workers
from pipeline.store import RedisStore
from tests.support.servers import until
from tests.support.terminal import terminal

ROUTES = str(Path(__file__).parent / "flows" / "routes.py")
KEYS = [f"{origin}-{other}" for origin in ("JFK", "LGA") for other in ("BOS", "LAX", "ORD")]


@pytest.fixture(scope="module")
def workers(url: str) -> Iterator[Workers]:
    """Two workers for this module's tests, which therefore each use dates of their own."""
    with Workers(url, flows=[ROUTES], count=2, patience=0) as found:
        found.wait_ready()
        yield found


@pytest.fixture(scope="module")
def wave(url: str, workers: Workers, as_main: None, command_on):
    """The command on this module's Redis, which holds the state of six routes."""
    call = command_on(url)
    for key in KEYS:
        call("state", "add", "routes", key, f"origin={key[:3]}")
    return call


@pytest.fixture
def redis(url: str) -> Iterator[Redis]:
    with Redis.from_url(url) as client:
        yield client


@pytest.fixture
def let_go(redis: Redis) -> Iterator[Callable[[], int]]:
    """Holds the flow `held` up until this is called."""
    redis.set("hold", 1)
    yield lambda: redis.delete("hold")
    redis.delete("hold")


def subcommand(url: str, *words: str) -> subprocess.Popen[str]:
    """Start the command as a process of its own."""
    command = [sys.executable, "-m", "pipeline.cli", "--redis", url, *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_a_wave_is_submitted_once_and_waited_for(wave):
    said = wave("submit", "delays", "--date", "2013-06-25T13", "--wait").stdout
    assert re.fullmatch(
        r"main/delays 2013-06-25T13: done after [\d.]+ m?s: 26 finished", said.splitlines()[-1]
    )
    again = wave("submit", "delays", "--date", "2013-06-25T13").stdout
    assert again == "main/delays 2013-06-25T13: was submitted before and is closed, 6 entities in 2 shards\n"


def test_a_wave_of_some_entities_takes_their_features_from_the_state(wave):
    said = wave("submit", "delays", "--date", "2013-06-25T14", "-e", "JFK-BOS", "--wait", "--json").stdout
    found = json.loads(said)
    assert (found["state"], found["reason"], found["total"], found["new"]) == ("closed", "done", 5, True)


def test_a_wave_of_some_tasks_reads_its_inputs_from_the_store(wave):
    wave("submit", "delays", "--date", "2013-06-25T15", "--wait")
    said = wave("submit", "delays", "--date", "2013-06-25T15", "--only", "delay", "--wait").stdout
    assert ": done after " in said
    assert said.endswith(": 6 finished\n")


def test_a_wave_with_failures_is_shown_with_reasons_and_exits_1(wave):
    said = wave("submit", "delays", "--date", "2013-06-25T03", "--wait", code=1).stdout
    assert said.endswith(": 20 finished, 6 failed\n")
    shown = wave("show", "main/delays 2013-06-25T03").stdout
    assert shown.startswith("main/delays 2013-06-25T03: done, after ")
    assert "6 entities in 2 shards of state routes" in shown
    assert re.search(r"^forecast +6 +6 ", shown, re.M), "all of them finished, all of them degraded"
    reason = "failed: error: ConnectionError: no weather for <entity> at night (routes.py:23, in weather)"
    assert f"       6 x {reason}\n           JFK-BOS, JFK-LAX, JFK-ORD and 3 more\n" in shown
    assert (
        "JFK-BOS, JFK-LAX, JFK-ORD, LGA-BOS, LGA-LAX, LGA-ORD\n"
        in wave("show", "delays 2013-06-25T03", "--errors").stdout
    )


def test_a_wave_is_shown_to_programs(wave):
    wave("submit", "delays", "--date", "2013-06-26T03", "--wait", code=1)
    found = json.loads(wave("show", "main/delays", "2013-06-26T03", "--json").stdout)
    assert found["tasks"]["weather"] == {"failed: error": 6}
    assert found["tasks"]["forecast"] == {"finished (degraded)": 6}
    assert found["work_seconds"]["delay"] > 0
    (reason,) = found["reasons"]["weather"]
    assert (reason["count"], reason["entities"]) == (6, ["JFK-BOS", "JFK-LAX", "JFK-ORD"])


def test_a_wave_tells_what_it_cost_where_there_is_a_price(wave, monkeypatch):
    wave("submit", "delays", "--date", "2013-06-27T10", "--wait")
    assert "cost" not in json.loads(wave("show", "main/delays", "2013-06-27T10", "--json").stdout)
    monkeypatch.setenv("PIPELINE_PRICE", "36")
    found = json.loads(wave("show", "main/delays", "2013-06-27T10", "--json").stdout)
    assert found["cost"] == pytest.approx(sum(found["work_seconds"].values()) * 0.01)
    assert found["cost_per_1000"] == pytest.approx(found["cost"] * 1000 / found["total"])
    shown = wave("show", "main/delays", "2013-06-27T10").stdout
    assert re.search(r"^  cost +\S+, \S+ per 1,000 entities of a task$", shown, re.M)


def test_waves_are_listed_the_newest_date_first_with_what_they_cost(wave, monkeypatch):
    for hour in ("10", "11", "12"):
        wave("submit", "delays", "--date", f"2030-01-01T{hour}", "--force", "--wait")
    lines = wave("ls", "-n", "2", "--flow", "delays").stdout.splitlines()
    assert [line.split("  ")[0] for line in lines[1:3]] == [
        "main/delays 2030-01-01T12",
        "main/delays 2030-01-01T11",
    ]
    assert re.fullmatch(r"and \d+ older waves: -n 0 lists all", lines[3])
    assert json.loads(wave("ls", "-n", "1", "--flow", "delays", "--json").stdout)[0]["ended"] == 26
    assert "cost" not in lines[0]
    monkeypatch.setenv("PIPELINE_PRICE", "36")
    head, first, *_ = wave("ls", "-n", "1", "--flow", "delays").stdout.splitlines()
    assert re.search(r" cost +per 1,000$", head)
    assert re.search(r" 0 +[\d.e-]+ +[\d.e-]+$", first)
    (found,) = json.loads(wave("ls", "-n", "1", "--flow", "delays", "--json").stdout)
    assert found["cost_per_1000"] == pytest.approx(found["cost"] * 1000 / 26)
    assert wave("ls", "--flow", "other").stdout == "no waves of other in Redis\n"


def test_a_flow_s_name_stands_for_its_newest_wave(wave):
    wave("submit", "delays", "--date", "2040-01-01T12", "--force", "--wait")
    assert wave("show", "delays").stdout.startswith("main/delays 2040-01-01T12: done")
    assert wave("show", "main/delays").stdout.startswith("main/delays 2040-01-01T12: done")


def test_a_wave_is_cancelled_once_and_retried(wave, let_go):
    wave("submit", "held", "--date", "2013-06-25T13")
    assert wave("cancel", "held").stdout == "main/held 2013-06-25T13: cancelled\n"
    assert wave("cancel", "held").stdout == "main/held 2013-06-25T13: had ended already (cancelled)\n"
    shown = wave("show", "held").stdout
    # A shard that a worker had taken was running; the other one nobody took.
    cancelled = re.findall(
        r"^ +(\d+) x skipped: cancelled: (?:it was running|no worker took it)", shown, re.M
    )
    assert sum(map(int, cancelled)) == 6, shown
    let_go()
    found = json.loads(wave("cancel", "held", "--json").stdout)
    assert (found["cancelled"], found["reason"]) == (False, "cancelled")
    said = wave("retry", "held", "--wait").stdout
    assert said.startswith("main/held 2013-06-25T13: 6 entities of tasks are run again\n")
    assert said.endswith(": 6 finished\n")
    assert (
        wave("retry", "held").stdout
        == "main/held 2013-06-25T13: everything is finished, nothing to run again\n"
    )
    assert json.loads(wave("retry", "held", "--json").stdout)["run_again"] == 0


def test_an_open_wave_is_not_retried(wave, let_go):
    wave("submit", "held", "--date", "2013-06-25T14")
    said = wave("retry", "held", "2013-06-25T14", code=2).stderr
    assert "is still open. Wait for its end, or cancel it, and retry then." in said
    let_go()
    assert wave("watch", "held", "2013-06-25T14").stdout.endswith(": 6 finished\n")


def test_watching_tells_in_plain_lines_how_it_goes_and_ends_with_the_wave(wave, url, let_go):
    wave("submit", "held", "--date", "2013-06-25T15")
    with subcommand(url, "watch", "held", "2013-06-25T15") as watching:
        assert watching.stdout.readline().startswith("main/held 2013-06-25T15: open, 0 of 6 ended: 6 pending")
        let_go()
        assert watching.stdout.read().endswith(": 6 finished\n")
    assert watching.returncode == 0


def test_watching_in_a_terminal_draws_the_graph_and_ends_with_the_wave(wave, url, let_go):
    wave("submit", "held", "--date", "2013-06-25T17")
    with terminal("--redis", url, "watch", "held", "2013-06-25T17") as watching:
        watching.until(lambda text: "─ waiting " in text and "running" in text)
        let_go()
        said = watching.rest()
    assert "6 finished" in said.rpartition("─ waiting ")[2]
    assert said.rstrip().endswith(": 6 finished")
    assert watching.code == 0


def test_watching_is_an_object_a_line_for_programs(wave, url, let_go):
    wave("submit", "held", "--date", "2013-06-25T18")
    with subcommand(url, "watch", "held", "2013-06-25T18", "--json") as watching:
        first = json.loads(watching.stdout.readline())
        let_go()
        last = [json.loads(line) for line in watching.stdout][-1]
    assert (first["state"], first["ended"]) == ("open", 0)
    assert (last["state"], last["reason"], last["ended"]) == ("closed", "done", 6)


def test_top_shows_waves_queues_and_workers_once_where_nobody_looks(wave):
    wave("submit", "delays", "--date", "2050-01-01T12", "--force", "--wait")
    said = wave("top").stdout
    assert re.match(
        r"[\d-]+ [\d:]+ UTC  2 workers  0 open waves  0 deadlines  Redis: control [\d.]+ MB\n", said
    )
    assert re.search(r"^main/delays +2050-01-01T12 +done +26 +26 *", said, re.M)
    assert re.search(r"^main.compute +0 +0 +2$", said, re.M)
    assert re.search(r"^worker +main +2 +2 +main.collect, main.compute", said, re.M)


def test_top_tells_programs_what_is_open_and_how_much_work_waits(wave, let_go):
    wave("submit", "held", "--date", "2050-01-01T13", "--force")
    found = json.loads(wave("top", "--json").stdout)
    (held,) = [flow for flow in found["flows"] if flow["flow"] == "held"]
    assert (held["newest"], held["state"], held["open"]) == ("main/held 2050-01-01T13", "open", 1)
    assert (held["ended"], held["total"]) == (0, 6)
    assert sum(queue["queued"] + queue["in_flight"] for queue in found["queues"]) >= 2
    assert found["deadlines"] > 0
    let_go()
    wave("watch", "held", "2050-01-01T13")


def test_top_goes_on_in_a_terminal_until_it_is_interrupted(wave, url, let_go):
    wave("submit", "held", "--date", "2050-01-01T14", "--force")
    with terminal("--redis", url, "top", "--every", "1s") as watching:
        watching.until(lambda text: text.count("open wave") >= 2 and "2050-01-01T14" in text)
        watching.interrupt()
        said = watching.rest()
    assert watching.code == 130
    assert "Traceback" not in said
    let_go()
    wave("watch", "held", "2050-01-01T14")


def test_watching_is_left_by_an_interrupt_without_a_traceback(wave, url, let_go):
    wave("submit", "held", "--date", "2013-06-25T16")
    with subcommand(url, "watch", "held", "2013-06-25T16") as watching:
        watching.stdout.readline()
        watching.send_signal(signal.SIGINT)
        assert watching.wait(10) == 130
        assert "Traceback" not in watching.stderr.read()  # it may say that all slots are busy, which is so
    let_go()


def test_an_empty_state_ends_a_wave_at_once_and_says_so(url, as_main, command_on, tmp_path):
    path = tmp_path / "empty_flows.py"
    path.write_text(
        "from pipeline import *\n@task\ndef a(entity): ...\nflow = Flow('idle', [a], State('nobody', ttl='1d'))"
    )
    said = command_on(url)("submit", str(path), "--date", "2013-06-25T13").stdout
    assert said.startswith(
        "main/idle 2013-06-25T13: ended at once, because state 'nobody' holds no entities."
    )


def test_a_backfill_runs_every_hour_of_a_range_and_a_day_is_whole(wave, redis):
    said = wave("backfill", "delays", "--from", "2014-01-01T06", "--to", "2014-01-01").stdout.splitlines()
    assert re.fullmatch(r"18 dates in [\d.]+ m?s, [\d.]+ ms each", said[-1])
    found = RedisStore(redis).get("main", "delay", datetime(2014, 1, 1, 23, tzinfo=UTC), KEYS)
    assert found == dict.fromkeys(KEYS, 12.0)
    assert "submitted" in wave("show", "delays 2014-01-01T23").stdout
    assert "as a backfill" in wave("show", "delays 2014-01-01T23").stdout


def test_a_backfill_with_failures_names_them_and_runs_them_again_with_missing(wave):
    day = ["delays", "--from", "2014-02-01T02", "--to", "2014-02-01T04"]
    said = wave("backfill", *day, code=1).stdout
    assert (
        "1 with failures: main/delays 2014-02-01T03; `wave show` tells why, --missing runs them again" in said
    )
    said = wave("backfill", *day, "--missing", code=1).stdout
    assert "  2 had been run before\n  1 were run again for what they lacked\n  1 with failures" in said
    again = json.loads(wave("backfill", *day, "--json", code=1).stdout)
    assert (again["total"], again["skipped"], again["failed"]) == (3, 3, ["main/delays 2014-02-01T03"])


def test_missing_trusts_the_pipes_of_dates_whose_wave_is_forgotten(wave, redis):
    wave("backfill", "delays", "--from", "2014-03-01T10", "--to", "2014-03-01T12")
    forget(redis, "main/delays 2014-03-01T10")
    forget(redis, "main/delays 2014-03-01T11")
    for key in redis.scan_iter("main/delay * 2014-03-01T11"):
        redis.delete(key)
    said = json.loads(
        wave(
            "backfill", "delays", "--from", "2014-03-01T10", "--to", "2014-03-01T13", "--missing", "--json"
        ).stdout
    )
    assert (said["total"], said["skipped"], said["failed"]) == (4, 2, [])
    found = RedisStore(redis).get("main", "delay", datetime(2014, 3, 1, 11, tzinfo=UTC), KEYS)
    assert len(found) == len(KEYS)


def test_an_interrupted_backfill_says_how_to_go_on_and_the_workers_finish_what_is_in_flight(
    wave, url, redis, let_go
):
    words = ["backfill", "held", "--from", "2014-04-01T00", "--to", "2014-04-01T09", "--in-flight", "2"]
    with subcommand(url, *words) as running:
        until(lambda: redis.exists("wave:main/held 2014-04-01T01"))
        running.send_signal(signal.SIGINT)
        assert running.wait(10) == 130
        said = running.stderr.read()
    # The second may have been interrupted while it was submitted: then it is where to go on.
    begun = int(re.search(r"stopped: 0 of 10 dates are done; the workers finish (1|2) more\.", said)[1])
    assert f"wave backfill held --from 2014-04-01T0{begun} --to 2014-04-01T09 --in-flight 2" in said
    assert "Traceback" not in said
    let_go()
    wave("watch", "held", "2014-04-01T00")
    assert not redis.exists("wave:main/held 2014-04-01T02")


def test_a_backfill_keeps_no_more_in_flight_than_asked(wave, url, redis, let_go):
    with subcommand(
        url, "backfill", "held", "--from", "2014-05-01T00", "--to", "2014-05-01T05", "--in-flight", "3"
    ) as running:
        until(lambda: redis.exists("wave:main/held 2014-05-01T02"))
        assert not redis.exists("wave:main/held 2014-05-01T03")
        let_go()
        assert running.wait(30) == 0


def forget(redis: Redis, wave_id: str) -> None:
    """Take a wave's record away, as its ttl does."""
    redis.delete(*redis.keys(f"wave:{wave_id}*"))
    redis.zrem("waves", wave_id)


def test_a_backfill_ends_at_the_present_hour(wave):
    present = datetime.now(UTC).strftime("%Y-%m-%dT%H")
    said = wave("backfill", "held", "--from", present, "--to", "2150-01-01", "--every", "1h").stdout
    assert re.search(r"^[12] dates? in ", said, re.M), said
