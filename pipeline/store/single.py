"""RedisStore: the pipe store on one Redis, the default; several times as fast as ClusterStore."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from redis import Redis

from pipeline.store import series
from pipeline.store.cluster import EXTEND, ClusterStore, telling, unpack
from pipeline.store.windows import BLOCK, SLICE
from pipeline.store.wire import Batch, Wire, argument, arguments


class RedisStore(ClusterStore):
    """Keeps pipes in one Redis.

    Args:
        client: One that does not decode responses.
        **options: Those of ClusterStore and Store.

    Example:
        >>> store = RedisStore(Redis.from_url("redis://127.0.0.1:6379/0"))  # doctest: +SKIP
    """

    def __init__(self, client: Redis, **options: Any) -> None:
        super().__init__(client, **options)
        self._wire = Wire(client)

    @telling
    def _add(self, keys: Sequence[str], blobs: Sequence[bytes], expires: int) -> list[bool]:
        tail = argument("NX") + argument("EXAT") + argument(expires)

        def batches() -> Iterator[Batch]:
            for start in range(0, len(keys), SLICE):
                pairs = zip(arguments(keys[start : start + SLICE]), blobs[start : start + SLICE], strict=True)
                commands = [
                    b"*6\r\n$3\r\nSET\r\n%b$%d\r\n%b\r\n%b" % (key, len(blob), blob, tail)
                    for key, blob in pairs
                ]
                yield b"".join(commands), len(commands)

        return [reply is not None for reply in self._wire.replies(batches)]

    @telling
    def _read(self, keys: Sequence[str]) -> list[bytes | None]:
        def batches() -> Iterator[Batch]:
            for start in range(0, len(keys), SLICE):
                part = arguments(keys[start : start + SLICE])
                yield b"*%d\r\n$4\r\nMGET\r\n%b" % (len(part) + 1, b"".join(part)), 1

        return [blob for blobs in self._wire.replies(batches) for blob in blobs]

    @telling
    def _write_slots(self, keys: Sequence[str], offset: int, slots: Sequence[bytes], expires: int) -> None:
        at = argument(offset)

        def batches() -> Iterator[Batch]:
            for start in range(0, len(keys), SLICE):
                pairs = zip(arguments(keys[start : start + SLICE]), slots[start : start + SLICE], strict=True)
                commands = [
                    b"*4\r\n$8\r\nSETRANGE\r\n%b%b$%d\r\n%b\r\n*2\r\n$3\r\nTTL\r\n%b"
                    % (key, at, len(slot), slot, key)
                    for key, slot in pairs
                ]
                yield b"".join(commands), 2 * len(commands)

        self._extend(keys, self._wire.replies(batches)[1::2], expires)

    def _expire(self, keys: Sequence[str], seconds: int) -> None:
        self.client.eval(EXTEND, len(keys), *keys, seconds)

    @telling
    def _read_slots(
        self, prefix: str, entities: Sequence[str], spans: Sequence[series.Span], rows: series.Bits
    ) -> None:
        tails = [(s.tail, argument(s.offset) + argument(s.offset + s.size - 1)) for s in spans]

        def batches() -> Iterator[Batch]:
            for start in range(0, len(entities), BLOCK):
                heads = [f"{prefix}{entity}" for entity in entities[start : start + BLOCK]]
                commands = [
                    b"*4\r\n$8\r\nGETRANGE\r\n%b%b" % (argument(head + tail), place)
                    for head in heads
                    for tail, place in tails
                ]
                yield b"".join(commands), len(commands)

        def take(number: int, replies: list[bytes]) -> None:
            unpack(replies, spans, rows[number * BLOCK : (number + 1) * BLOCK])

        self._wire.feed(batches, take)
