"""ClusterStore: a pipe store on a Redis Cluster, by redis-py's pipelines and without commands over many keys.

It works on one Redis as well, where RedisStore is faster.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from redis import Redis, RedisCluster

from pipeline import series
from pipeline.store.base import BLOCK, SLICE, Store

# A series that has to live longer gets an hour more than it needs, so that the next puts find it long enough.
_SLACK = 3600
# EXPIRE ... GT is of Redis 7.
EXTEND = """
for _, key in ipairs(KEYS) do
  if redis.call('TTL', key) < tonumber(ARGV[1]) then redis.call('EXPIRE', key, ARGV[1]) end
end
"""


class ClusterStore(Store):
    """Keeps pipes in Redis. `client` must not decode responses; see Store for the other options."""

    def __init__(self, client: Redis | RedisCluster, **options: Any) -> None:
        super().__init__(**options)
        self.client = client

    def raw(self, key: str) -> bytes | None:
        """Give the bytes under a key, a pipe's or a series', None when there is none."""
        blob: bytes | None = self.client.get(key)  # type: ignore[assignment]
        return blob

    def ttl(self, key: str) -> float | None:
        """Give the seconds that a key has to live, None when there is none."""
        left = int(self.client.pttl(key))
        return None if left == -2 else float("inf") if left == -1 else left / 1000

    def _add(self, keys: Sequence[str], blobs: Sequence[bytes], expires: int) -> list[bool]:
        added = []
        for start in range(0, len(keys), SLICE):
            pipe = self._pipeline()
            for key, blob in zip(keys[start : start + SLICE], blobs[start : start + SLICE], strict=True):
                pipe.set(key, blob, nx=True, exat=expires)
            added += [reply is not None for reply in pipe.execute()]
        return added

    def _read(self, keys: Sequence[str]) -> list[bytes | None]:
        blobs: list[bytes | None] = []
        for start in range(0, len(keys), SLICE):
            pipe = self._pipeline()
            for key in keys[start : start + SLICE]:
                pipe.get(key)
            blobs += pipe.execute()
        return blobs

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

    def _scan(self, head: str) -> Iterator[str]:
        pattern = "".join(f"\\{c}" if c in "*?[]\\^" else c for c in head) + "*"
        return (key.decode() for key in self.client.scan_iter(match=pattern, count=10_000))

    def _pipeline(self) -> Any:
        return self.client.pipeline(transaction=False)


def unpack(replies: Sequence[bytes], spans: Sequence[series.Span], rows: series.Bits) -> None:
    """Fill rows from what GETRANGE gave for each entity and span; what is beyond a series' end is zero."""
    sizes = [span.size for span in spans] * len(rows)
    series.unpack(b"".join([r.ljust(size, b"\0") for r, size in zip(replies, sizes, strict=True)]), rows)
