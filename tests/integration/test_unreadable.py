"""What cannot be read is set aside and named, and stops nothing else: neither keepers nor workers nor any face."""

from __future__ import annotations

import json
import time
from pathlib import Path

import orjson
import pytest

from pipeline import submit_wave
from pipeline.dashboard.overview import overview
from pipeline.flows.discover import load_flows
from pipeline.forms import named_unreadable
from pipeline.gate.gate import Gate
from pipeline.gate.units import Unit
from pipeline.local.processes import Workers
from pipeline.messaging.canvas import RUN
from pipeline.monitoring.alert_delivery import look
from pipeline.monitoring.alert_rules import Bounds
from pipeline.monitoring.metrics import WaveCollector
from pipeline.settings import Settings
from pipeline.waves.runtime import Runtime
from pipeline.waves.wave import Wave
from tests.support.servers import until

CODE = """
from pipeline import Flow, State, task

@task
def sales(entity: str) -> int:
    return len(entity)

@task
def doubled(sales: int) -> int:
    return 2 * sales

sold = Flow("sold", [sales, doubled], state=State("shops", partition_by="city"))
"""
ENTITIES = {f"shop{n}": {"city": f"city{n % 3}"} for n in range(6)}
GARBAGE = b"\xff\xfegarbage"


@pytest.fixture
def flows(tmp_path: Path) -> str:
    (tmp_path / "sold.py").write_text(CODE)
    return str(tmp_path / "sold.py")


@pytest.fixture
def runtime(redis_url: str) -> Runtime:
    return Runtime(Settings(redis_url=redis_url, version="main"))


@pytest.fixture
def submit(flows, runtime):
    """Submits a wave of an hour."""

    def call(hour: int) -> Wave:
        date = f"2026-05-01T{hour:02}"
        return submit_wave(load_flows([flows])["sold"], date=date, entities=ENTITIES, runtime=runtime)

    return call


def retyped(client, key):
    client.delete(key)
    client.set(key, "of another type")


# What is done to a wave -> what is said of it.
DAMAGE = {
    "spec": (
        lambda c, key: c.hset(key, "spec", GARBAGE),
        "is damaged: what Redis holds of it is not what was written.",
    ),
    "spec of another kind": (lambda c, key: c.hset(key, "spec", b"[]"), "is damaged"),
    "wave": (retyped, "a key has another type"),
    "units": (lambda c, key: retyped(c, f"{key} units"), "a key has another type"),
    "record": (
        lambda c, key: c.hset(f"{key} units", mapping={f"sales {n}": "running what" for n in range(3)}),
        'its record is "running what". `wave cancel` and `wave retry` of its wave run it again.',
    ),
    "record of 0.1.0": (
        lambda c, key: c.hset(f"{key} units", mapping={f"sales {n}": "r 1 0 5 9 me/1 0" for n in range(3)}),
        'its record is "r 1 0 5 9 me/1 0".',
    ),
}


def spoil(client) -> None:
    """Put into Redis what nobody of ours would write."""
    late = {GARBAGE: 1, "garbage": 1, "main/none 2026-05-01T00 sales 0": 1, "": 1}
    client.zadd("deadlines", late)
    client.zadd("waves", dict.fromkeys([GARBAGE, "garbage", "no/date", ""], time.time() * 1000 + 1e9))
    client.zadd("present", dict.fromkeys([GARBAGE, "{}", "[1]", '{"kind": 1}'], time.time() + 1e6))
    client.sadd("totals", "garbage", "main/typed")
    client.hset("totals:garbage", mapping={"x": "y", "sales ?": 1, "sales B": "y", "@waves done": "y"})
    client.set("totals:main/typed", 1)
    client.hset("costs:main/sold", mapping={"sales": "garbage", "doubled": "0.5"})
    client.hset("alerts", mapping={"garbage": "garbage", "warning late x": GARBAGE})


def test_whatever_is_damaged_is_named_and_all_else_goes_on(
    redis_url, redis_client, runtime, flows, submit, command_on, monkeypatch
):
    monkeypatch.setenv("PIPELINE_FLOWS", flows)
    monkeypatch.setenv("PIPELINE_VERSION", "main")
    bad = {name: submit(hour) for hour, name in enumerate(DAMAGE)}
    shard, good = submit(20), submit(21)
    for name, wave in bad.items():
        DAMAGE[name][0](redis_client, f"wave:{wave.id}")
    redis_client.hset(f"wave:{shard.id} shards", "0", GARBAGE)
    redis_client.hset(f"wave:{good.id} counts", mapping={"sales ?": 1, "sales": 1, "x y z": "?"})
    redis_client.rpush(f"wave:{good.id} incidents", "garbage", GARBAGE)
    spoil(redis_client)
    app = runtime.sender._app
    for args in ([], ["main/sold"], [1, 2, 3, 4], [good.id, "nosuch", "0", 1], [good.id, "sales", "99", 1]):
        app.send_task(RUN, args=args, queue="main.compute", ignore_result=True)
    app.send_task(RUN, args=[good.id, "sales", "0", 1], kwargs={"form": 2}, queue="main.compute")
    with Workers(redis_url, flows=[flows], count=1, concurrency=2) as workers:
        workers.wait_ready()
        fresh = submit(22)
        for wave in (good, fresh, shard):
            assert Wave.find(wave.id, Runtime(runtime.settings)).wait(60).info().reason == "done"
        said = {name: text for name, (_, text) in DAMAGE.items()}
        until(lambda: all(_named(redis_client, bad[name].id, text) for name, text in said.items()), 60)
    assert good.progress().count("finished") == fresh.progress().count("finished") == 2 * len(ENTITIES)
    assert shard.progress().tasks["sales"] == {"failed: error": 2, "finished": 4}
    named = "\n".join(named_unreadable(redis_client))
    assert "message []: a message does not name a wave, tasks and a place." in named
    assert "a message has form 2, and this process reads up to form 1." in named
    assert "deadline garbage: it does not name a wave, a task and a place." in named
    _look_at_all_faces(redis_url, runtime, flows, command_on, good)


def _named(client, wave_id: str, text: str) -> bool:
    return any(wave_id in found and text in found for found in named_unreadable(client))


def _look_at_all_faces(redis_url, runtime, flows, command_on, good) -> None:
    wave, known = command_on(redis_url), load_flows([flows])
    assert good.id in wave("ls").output
    assert "6 entities" in wave("show", good.id).output
    assert '"flow": "sold"' in wave("top", "--once", "--json").output
    doctor = {f["check"]: f for f in json.loads(wave("doctor", "--json", code=1).output)}
    assert doctor["records"]["level"] == "WARN"
    assert "could not be read within the last day, and were set aside: " in doctor["records"]["text"]
    assert {metric.name: metric for metric in WaveCollector(runtime, known.values()).collect()}[
        "waves_up"
    ].samples[0].value == 1
    assert overview(runtime, known).rows
    alerts = {alert.what: alert for alert in look(runtime, known.values(), Bounds())[0]}
    assert "could not be read and were set aside; the newest: " in alerts["unreadable"].text
    assert "`wave doctor` names more." in alerts["unreadable"].text


def test_a_wave_that_cannot_be_read_says_so_to_who_asks_for_it(
    runtime, redis_url, redis_client, submit, command_on
):
    wave = submit(0)
    redis_client.hset(f"wave:{wave.id}", "spec", orjson.dumps({"form": 2}))
    text = f"wave {wave.id!r} has form 2, and this process reads up to form 1. Start one of the code that wrote it."
    assert text in command_on(redis_url)("show", wave.id, code=2).output
    assert text in command_on(redis_url)("ls").output


def test_a_damaged_wave_still_ends_at_its_expiry(runtime, redis_url, redis_client, flows):
    wave = submit_wave(
        load_flows([flows])["sold"], date="2026-05-01T07", entities=ENTITIES, expiry="1s", runtime=runtime
    )
    redis_client.hset(f"wave:{wave.id}", "spec", GARBAGE)
    with Workers(redis_url, flows=[flows], count=1) as workers:
        workers.wait_ready()
        until(lambda: wave.info().reason == "expired", 30)
        until(lambda: not redis_client.zcard("deadlines"), 30)


def test_cancel_and_retry_run_a_unit_again_whose_record_was_damaged(
    runtime, redis_url, redis_client, flows, submit
):
    wave = submit(0)
    redis_client.hset(f"wave:{wave.id} units", "sales 0", "garbage")
    with Workers(redis_url, flows=[flows], count=1) as workers:
        workers.wait_ready()
        until(lambda: _named(redis_client, wave.id, 'its record is "garbage".'), 30)
        wave.cancel()
        wave.retry().wait(40)
    assert wave.progress().count("finished") == 2 * len(ENTITIES)


def test_what_newer_code_wrote_is_left_to_its_keepers_as_it_is(redis_client):
    gate = Gate(redis_client)
    for wave_id in ("new", "old", "own"):
        redis_client.hset("s", "0", b"{}")
        gate.create(wave_id, "s", {}, 1, [Unit("a", "0")], 0, 60)
        gate.open(wave_id)
    redis_client.hset("wave:new", "form", 2)
    redis_client.hdel("wave:old", "form")  # as 0.1.0 wrote them
    many = {f"{wave_id} a {n}": n for n in range(300) for wave_id in ("new", "old")}
    redis_client.zadd("deadlines", many | {"own a 0": 1000})
    assert gate.due(limit=10) == [("send", "own", Unit("a", "0"))]
    assert {
        m.decode(): s for m, s in redis_client.zrange("deadlines", 0, -1, withscores=True)
    }.items() >= many.items()
    assert not named_unreadable(redis_client)


def test_a_bad_run_among_those_of_a_worker_does_not_keep_it_from_renewing_the_others(redis_client):
    gate = Gate(redis_client)
    held = []
    for wave_id in ("bad", "good"):
        redis_client.hset("s", "0", b"{}")
        gate.create(wave_id, "s", {}, 1, [Unit("a", "0")], 0, 60)
        gate.open(wave_id)
        claim = gate.claim(
            wave_id, Unit("a", "0"), need=0, timeout=0, lease=30, limit=60, owner="me", waiting={}
        )
        assert claim.granted
        held.append((wave_id, Unit("a", "0")))
    retyped(redis_client, "wave:bad units")
    assert gate.renew("me", 40, held) == 1
    assert any("run of bad a 0: a key has another type" in text for text in named_unreadable(redis_client))


def test_what_is_named_is_bounded(redis_client):
    redis_client.zadd("deadlines", {f"garbage{n}": 1 for n in range(1500)})
    gate = Gate(redis_client)
    until(lambda: not gate.due() and not redis_client.zcard("deadlines"))
    assert redis_client.zcard("unreadable") == 1000
