"""ClusterStore: a pipe store on a Redis Cluster, by redis-py's pipelines and without commands over many keys.

It works on one Redis as well, where RedisStore is faster.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, Concatenate, ParamSpec, TypeVar

from redis import Redis, RedisCluster
from redis.exceptions import OutOfMemoryError, RedisClusterException, RedisError

from pipeline.clock import RedisClock
from pipeline.errors import StoreError
from pipeline.store import series
from pipeline.store.base import Store
from pipeline.store.windows import BLOCK, SLICE

# A series that has to live longer gets an hour more than it needs, so that the next puts find it long enough.
_SLACK = 3600
# EXPIRE ... GT is of Redis 7.
EXTEND = """
for _, key in ipairs(KEYS) do
  if redis.call('TTL', key) < tonumber(ARGV[1]) then redis.call('EXPIRE', key, ARGV[1]) end
end
"""

P = ParamSpec("P")
R = TypeVar("R")


def telling(
    method: Callable[Concatenate[Any, P], R],
) -> Callable[Concatenate[Any, P], R]:
    """Wrap a method so that a store that has a place raises StoreError for what its Redis refuses."""

    @functools.wraps(method)
    def call(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return method(self, *args, **kwargs)
        except (RedisError, RedisClusterException, OSError) as error:
            if self.place is None:
                raise
            raise _told(self.place, error) from error

    return call


def _told(place: str, error: Exception) -> StoreError:
    what = f"({type(error).__name__}: {error})"
    if isinstance(error, OutOfMemoryError):
        return StoreError(
            f"the pipe store at {place} is full {what}. Raise its maxmemory, or shorten the tasks' ttl."
        )
    return StoreError(
        f"the pipe store at {place} does not do what it is asked {what}. See PIPELINE_STORE_URL."
    )


class ClusterStore(Store):
    """Keeps pipes in a Redis Cluster.

    Args:
        client: One that does not decode responses, or a function that makes it when it is first needed.
        place: Its address for error texts: Redis' errors are then raised as StoreError, else as they are.
        **options: Those of Store.

    Example:
        >>> store = ClusterStore(lambda: RedisCluster.from_url("redis://10.0.0.1:6379"))  # doctest: +SKIP
    """

    def __init__(
        self,
        client: Redis | RedisCluster | Callable[[], RedisCluster],
        *,
        place: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**{"clock": RedisClock(self._time).time, **options})
        self.place = place
        self._given = client

    @cached_property
    def client(self) -> Any:
        """The client."""
        return self._given() if callable(self._given) else self._given

    def close(self) -> None:
        """Close its connections, if it has made any."""
        if "client" in self.__dict__:
            self.client.close()

    @telling
    def _time(self) -> tuple[int, int]:
        whole, micros = self.client.time()
        return whole, micros

    @telling
    def raw(self, key: str) -> bytes | None:
        """Return the bytes under a key, a pipe's or a series', None when there is none."""
        blob: bytes | None = self.client.get(key)
        return blob

    @telling
    def ttl(self, key: str) -> float | None:
        """Return the seconds that a key has to live, None when there is none."""
        left = int(self.client.pttl(key))
        return None if left == -2 else float("inf") if left == -1 else left / 1000

    @telling
    def _add(self, keys: Sequence[str], blobs: Sequence[bytes], expires: int) -> list[bool]:
        added = []
        for start in range(0, len(keys), SLICE):
            pipe = self._pipeline()
            for key, blob in zip(keys[start : start + SLICE], blobs[start : start + SLICE], strict=True):
                pipe.set(key, blob, nx=True, exat=expires)
            added += [reply is not None for reply in pipe.execute()]
        return added

    @telling
    def _read(self, keys: Sequence[str]) -> list[bytes | None]:
        blobs: list[bytes | None] = []
        for start in range(0, len(keys), SLICE):
            pipe = self._pipeline()
            for key in keys[start : start + SLICE]:
                pipe.get(key)
            blobs += pipe.execute()
        return blobs

    @telling
    def _write_slots(self, keys: Sequence[str], offset: int, slots: Sequence[bytes], expires: int) -> None:
        left: list[int] = []
        for start in range(0, len(keys), SLICE):
            pipe = self._pipeline()
            for key, slot in zip(keys[start : start + SLICE], slots[start : start + SLICE], strict=True):
                pipe.setrange(key, offset, slot)
                pipe.ttl(key)
            left += pipe.execute()[1::2]
        self._extend(keys, left, expires)

    def _extend(self, keys: Sequence[str], left: Sequence[int], expires: int) -> None:
        """Let series live until `expires` that are gone before; `left` are the seconds that they have."""
        need = expires - int(self.clock())
        short = [key for key, seconds in zip(keys, left, strict=True) if seconds < need]
        for start in range(0, len(short), SLICE):
            self._expire(short[start : start + SLICE], need + _SLACK)

    def _expire(self, keys: Sequence[str], seconds: int) -> None:
        """Let keys live for that long or longer. One by one: a Cluster's pipelines take no scripts."""
        for key in keys:
            self.client.eval(EXTEND, 1, key, seconds)

    @telling
    def _read_slots(
        self, prefix: str, entities: Sequence[str], spans: Sequence[series.Span], rows: series.Bits
    ) -> None:
        places = [(span.tail, span.offset, span.offset + span.size - 1) for span in spans]
        for start in range(0, len(entities), BLOCK):
            pipe = self._pipeline()
            for entity in entities[start : start + BLOCK]:
                for tail, first, last in places:
                    pipe.getrange(f"{prefix}{entity}{tail}", first, last)
            unpack(pipe.execute(), spans, rows[start : start + BLOCK])

    def _pipeline(self) -> Any:
        return self.client.pipeline(transaction=False)


def unpack(replies: Sequence[bytes], spans: Sequence[series.Span], rows: series.Bits) -> None:
    """Fill rows from what GETRANGE gave for each entity and span; what is beyond a series' end is zero."""
    sizes = [span.size for span in spans] * len(rows)
    series.unpack(b"".join([r.ljust(size, b"\0") for r, size in zip(replies, sizes, strict=True)]), rows)
