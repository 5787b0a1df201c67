"""Messages that a killed worker leaves behind, as kombu keeps them."""

from __future__ import annotations

import orjson
import pytest
from redis import Redis

from pipeline.gate.keys import wave_key
from pipeline.gate.units import Unit
from pipeline.messaging.canvas import SUBMIT, Canvas, Single
from pipeline.messaging.lost_messages import HELD, INDEX, sweep
from pipeline.settings import Settings
from pipeline.waves.runtime import Runtime
from tests.support.graphs import flow_of, spec_of

SPEC = spec_of(flow_of({"a": (), "b": ("a",), "c": ("a",), "d": ("b", "c")}))


@pytest.fixture
def taken(redis_url: str, redis_client: Redis) -> Redis:
    """A Redis in which a worker has taken a canvas and a single unit, and was killed."""
    sender = Runtime(Settings(redis_url=redis_url, version="main")).sender
    sender.send(SPEC, [Canvas(0, "0"), Single(Unit("d", "1"))])
    now = redis_client.time()[0]
    for queue in ("main.collect", "main.compute"):
        while raw := redis_client.rpop(queue):
            message = orjson.loads(raw)
            tag = message["properties"]["delivery_tag"]
            redis_client.hset(HELD, tag, orjson.dumps([message, "", queue]))
            redis_client.zadd(INDEX, {tag: now})
    assert redis_client.hlen(HELD) == 2
    return redis_client


def left(client: Redis) -> tuple[int, int]:
    return client.hlen(HELD), client.zcard(INDEX)


def test_messages_of_an_open_wave_stay(taken):
    taken.hset(wave_key(SPEC.id), "state", "open")
    assert sweep(taken) == 0
    assert left(taken) == (2, 2)


@pytest.mark.parametrize("state", ["closed", None])
def test_messages_of_a_wave_that_has_ended_are_dropped(taken, state):
    if state:
        taken.hset(wave_key(SPEC.id), "state", state)
    assert sweep(taken) == 2
    assert left(taken) == (0, 0)


def test_one_of_many_keepers_sweeps(taken):
    taken.hset(wave_key(SPEC.id), "state", "open")
    sweep(taken)
    taken.hset(wave_key(SPEC.id), "state", "closed")
    assert sweep(taken) == 0


@pytest.mark.parametrize(("task", "kept"), [(SUBMIT, False), ("somebody.elses", True)])
def test_others_messages_stay_and_ours_of_no_wave_go_when_they_are_old(redis_client, task, kept):
    message = {"headers": {"task": task}, "body": "", "properties": {}}
    redis_client.hset(HELD, "tag", orjson.dumps([message, "", "q"]))
    redis_client.zadd(INDEX, {"tag": redis_client.time()[0] - 3600})
    redis_client.hset(HELD, "strange", b"no json")
    sweep(redis_client)
    assert redis_client.hexists(HELD, "tag") == kept
    assert redis_client.hexists(HELD, "strange")
