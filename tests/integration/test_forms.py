"""A new form of records is written only when every process that is there says that it reads it."""

from __future__ import annotations

from dataclasses import replace

import orjson
import pytest
from redis import Redis

from pipeline import Flow, State, submit_wave, task
from pipeline.gate.units import Unit
from pipeline.messaging.canvas import first_messages
from pipeline.settings import Settings
from pipeline.waves import presence
from pipeline.waves.presence import KEEPER, PRESENT, WORKER, Presence, Process, form_to_write, present
from pipeline.waves.runtime import Runtime


@task
def sales(entity: str) -> int:
    return len(entity)


FLOW = Flow("sold", [sales], state=State("shops"))
ARGS = {"need": 0, "timeout": 0, "lease": 30, "limit": 60, "waiting": {}}


@pytest.fixture
def newest(monkeypatch) -> int:
    """Make the code one that also knows form 2; gives that number."""
    for module in ("pipeline.forms", "pipeline.waves.presence"):
        monkeypatch.setattr(f"{module}.FORM", 2)
    return 2


@pytest.fixture
def there(redis_client: Redis):
    """Lets a process of some form be there."""

    def call(form: int, kind: str = WORKER, pid: int = 1) -> Presence:
        found = Presence(redis_client, replace(Process.this(kind, "main"), form=form, pid=pid))
        found.tell()
        return found

    return call


def forms_in(client: Redis, wave_id: str) -> set[int]:
    """The forms that the records and messages of a wave say."""
    key = f"wave:{wave_id}"
    found = {int(client.hget(key, "form")), orjson.loads(client.hget(key, "spec"))["form"]}
    found |= {orjson.loads(data)["form"] for data in client.hvals(f"{key} shards")}
    return found | {int(record.split()[0]) for record in client.hvals(f"{key} units")}


@pytest.mark.usefixtures("newest")
def test_the_form_is_the_newest_that_all_read(redis_client, there):
    assert form_to_write(redis_client) == 2  # nobody else is there
    there(2)
    old = there(1, KEEPER, pid=2)
    assert form_to_write(redis_client) == 1
    old.leave()
    assert form_to_write(redis_client) == 2


def test_code_writes_no_newer_form_than_it_knows_itself(redis_client, there):
    there(3)
    assert form_to_write(redis_client) == presence.FORM


def test_who_does_not_say_what_it_reads_is_of_0_1_0(redis_client):
    said = {"kind": WORKER, "version": "main", "host": "h", "pid": 1, "queues": [], "slots": 1, "more": 1}
    redis_client.zadd(PRESENT, {orjson.dumps(said): 1e12})
    assert present(redis_client) == [Process(WORKER, "main", "h", 1, (), 1, form=0)]
    assert form_to_write(redis_client) == 1


@pytest.mark.usefixtures("newest")
def test_a_wave_keeps_the_form_that_it_began_with(redis_url, redis_client, there):
    runtime = Runtime(Settings(redis_url=redis_url, version="main"))
    old = there(1)
    before = submit_wave(FLOW, "2026-05-01T00", entities=["a"], runtime=runtime)
    old.leave()
    after = submit_wave(FLOW, "2026-05-01T01", entities=["a"], runtime=runtime)
    for wave in (before, after):
        assert runtime.gate.claim(wave.id, Unit("sales", "0"), owner="me", **ARGS).granted
    assert forms_in(redis_client, before.id) == {1}
    assert forms_in(redis_client, after.id) == {2}
    signatures = [
        runtime.sender.signature(w.spec, m) for w in (before, after) for m in first_messages(w.spec)
    ]
    assert [signature.kwargs["form"] for signature in signatures] == [1, 2]


def test_a_field_more_in_a_units_record_is_kept_and_ignored(redis_url, redis_client):
    runtime = Runtime(Settings(redis_url=redis_url, version="main"))
    wave, unit = submit_wave(FLOW, "2026-05-01T00", entities=["a"], runtime=runtime), Unit("sales", "0")
    redis_client.hset(f"wave:{wave.id} units", str(unit), "1 pending 0 0 0 0 - 0 of newer code")
    assert runtime.gate.claim(wave.id, unit, owner="me", **ARGS).granted
    record = redis_client.hget(f"wave:{wave.id} units", str(unit)).decode()
    assert record.startswith("1 running 1 0 ")
    assert record.endswith(" 0 of newer code")
    assert runtime.records.conditions(wave.id)[unit].name == "running"
