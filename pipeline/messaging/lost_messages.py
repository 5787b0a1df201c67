"""Messages that died with their workers.

A worker that is killed leaves what it had taken in the hash `unacked`, where the transport finds it again after the
visibility timeout, hours later. By then the keepers have long sent again what matters, so that such a message is
dropped as soon as its wave has ended. Taking away a message that a live worker still holds does no harm: all that it
would do with it is to acknowledge it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from redis import Redis

from pipeline.gate.keys import wave_key
from pipeline.messaging.queue_contents import units_of

HELD, INDEX = "unacked", "unacked_index"  # the names that kombu gives them
LOCK = "unacked:swept"
EVERY = 10  # seconds between two sweeps, whoever makes them
OTHERS_AFTER = 900  # seconds after which one of no wave is dropped: by then beat has asked again
PAGE = 200  # messages that are looked at together


def sweep(redis: Redis) -> int:
    """Drop the messages of waves that have ended, unless somebody did so just now; returns how many."""
    client: Any = redis
    if not client.exists(HELD) or not client.set(LOCK, 1, nx=True, ex=EVERY):
        return 0
    now, count, cursor = int(client.time()[0]), 0, 0
    while True:
        cursor, found = client.hscan(HELD, cursor, count=PAGE)
        gone = _ended(client, {tag: wave_of(blob) for tag, blob in found.items()}, now)
        if gone:
            with client.pipeline() as pipe:
                pipe.hdel(HELD, *gone)
                pipe.zrem(INDEX, *gone)
                pipe.execute()
            count += len(gone)
        if not cursor:
            return count


def _ended(client: Any, waves: Mapping[bytes, str | None], now: int) -> list[Any]:
    """Return the tags of the messages that nobody needs."""
    ours = [tag for tag, wave in waves.items() if wave is not None]
    with client.pipeline(transaction=False) as pipe:
        for tag in ours:
            if waves[tag]:
                pipe.hget(wave_key(str(waves[tag])), "state")
            else:
                pipe.zscore(INDEX, tag)
        answers = pipe.execute(raise_on_error=False)  # a wave's key of another type stops nothing else
    return [
        tag
        for tag, answer in zip(ours, answers, strict=True)
        if (answer in (None, b"closed") if waves[tag] else (answer or 0) < now - OTHERS_AFTER)
    ]


def wave_of(blob: bytes) -> str | None:
    """Return the wave that a message in `unacked` belongs to: "" for none, None for a message that is not ours."""
    try:
        found = units_of(orjson.loads(blob)[0])
    except (LookupError, TypeError, ValueError):
        return None
    return None if found is None else found[0]
