"""RedisStates: states in Redis, which is not a Cluster.

state:{name}         hash: entity -> its features as JSON
state:{name} seen    sorted set: the entities by when they were last added or touched
state:{name} left    text: what its source gave the last time that was left out, as JSON (see flows.left_out)
states               set: the names of all states that ever held an entity
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from redis import Redis

from pipeline.flows.state import NAME
from pipeline.states.base import SLICE, States

LEFT_TTL = 7 * 86400  # seconds

# In one piece, so that an entity that is seen again at the same moment stays.
_DROP = """
local old = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', ARGV[1], 'LIMIT', 0, ARGV[2])
if #old > 0 then
  redis.call('ZREM', KEYS[2], unpack(old))
  redis.call('HDEL', KEYS[1], unpack(old))
end
return #old
"""


class RedisStates(States):
    """States in Redis, on its clock unless another is given (seconds)."""

    def __init__(self, client: Redis, clock: Callable[[], float] | None = None) -> None:
        self._client: Any = client
        self._clock = clock or self._server_clock

    def names(self) -> list[str]:
        """List the names of the states that ever held an entity and were not cleared, sorted."""
        found = map(_text, self._client.sscan_iter("states", count=SLICE))
        return sorted(name for name in found if NAME.fullmatch(name))

    def _put(self, name: str, blobs: Mapping[str, bytes]) -> None:
        now = self._clock()
        with self._client.pipeline(transaction=True) as pipe:
            pipe.hset(_hash(name), mapping=dict(blobs))
            pipe.zadd(_zset(name), dict.fromkeys(blobs, now))
            pipe.sadd("states", name)
            pipe.execute()

    def _touch(self, name: str, keys: Sequence[str]) -> set[str]:
        now = self._clock()
        with self._client.pipeline(transaction=True) as pipe:
            pipe.zmscore(_zset(name), list(keys))
            pipe.zadd(_zset(name), dict.fromkeys(keys, now), xx=True)
            scores, _ = pipe.execute()
        return {key for key, score in zip(keys, scores, strict=True) if score is None}

    def _remove(self, name: str, keys: Sequence[str]) -> int:
        with self._client.pipeline(transaction=True) as pipe:
            pipe.hdel(_hash(name), *keys)
            pipe.zrem(_zset(name), *keys)
            removed: int = pipe.execute()[0]
        return removed

    def _drop(self, name: str, ttl: float) -> None:
        before = self._clock() - ttl
        while self._client.eval(_DROP, 2, _hash(name), _zset(name), before, SLICE) == SLICE:
            pass

    def _clear(self, name: str) -> None:
        with self._client.pipeline(transaction=True) as pipe:
            pipe.unlink(_hash(name), _zset(name), _left(name))
            pipe.srem("states", name)
            pipe.execute()

    def _get(self, name: str, key: str) -> bytes | None:
        blob: bytes | None = self._client.hget(_hash(name), key)
        return blob

    def _keys(self, name: str) -> list[str]:
        return [_text(key) for key in self._client.zrange(_zset(name), 0, -1)]

    def _get_many(self, name: str, keys: Sequence[str]) -> list[bytes | None]:
        found: list[bytes | None] = self._client.hmget(_hash(name), keys) if keys else []
        return found

    def _seen(self, name: str, key: str) -> float | None:
        score: float | None = self._client.zscore(_zset(name), key)
        return score

    def _count(self, name: str) -> int:
        return int(self._client.hlen(_hash(name)))

    def _pages(self, name: str) -> Iterator[Mapping[str, bytes]]:
        cursor = None
        while cursor != 0:
            cursor, page = self._client.hscan(_hash(name), cursor or 0, count=SLICE)
            yield {_text(key): blob for key, blob in page.items()}

    def _leave(self, name: str, left: bytes | None) -> None:
        if left:
            self._client.set(_left(name), left, ex=LEFT_TTL)
        else:
            self._client.delete(_left(name))

    def _left(self, name: str) -> bytes | None:
        found: bytes | None = self._client.get(_left(name))
        return found

    def _server_clock(self) -> float:
        seconds, micros = self._client.time()
        return float(seconds + micros / 1e6)


def _text(key: bytes) -> str:
    """Read a key; one that is not UTF-8 becomes one that is refused as an entity's."""
    return key.decode(errors="surrogateescape")


def _left(name: str) -> str:
    return f"state:{name} left"


def _hash(name: str) -> str:
    return f"state:{name}"


def _zset(name: str) -> str:
    return f"state:{name} seen"
