"""A producer's reply stream: what workers put there, see `replies`, it reads here."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from redis.asyncio import Redis

from pipeline.serving.names import replies_key
from pipeline.serving.wire import Replies, parse_replies

TOGETHER = 1000  # entries that are read together
BLOCK_MS = 5_000
KEPT_MS = 60_000  # that it outlives its producer


class ReplyStream:
    """The stream of one producer."""

    def __init__(self, client: Redis, producer: str) -> None:
        self._client: Any = client
        self._key = replies_key(producer)
        self._newest = b"0-0"  # entry that was read

    async def keep(self) -> None:
        """Keep it for a while; a Redis that lost its data gets a new one, which is read from its beginning."""
        if await self._client.pexpire(self._key, KEPT_MS):
            await self._client.execute_command(
                "XTRIM", self._key, "MINID", "~", self._newest
            )  # what was read
        else:
            self._newest = b"0-0"
            await self._client.xadd(self._key, {"r": b'["",[],[]]'})
            await self._client.pexpire(self._key, KEPT_MS)

    async def read(self) -> AsyncIterator[Replies]:
        """Read what came since the last call; where nothing did, wait some seconds for it."""
        found = await self._client.execute_command(
            "XREAD", "COUNT", TOGETHER, "BLOCK", BLOCK_MS, "STREAMS", self._key, self._newest
        )
        for self._newest, fields in _entries(found):
            yield parse_replies(fields[b"r"])

    async def remove(self) -> None:
        """Remove it: nobody reads it any more."""
        await self._client.delete(self._key)


def _entries(found: Any) -> list[tuple[bytes, Any]]:
    """Return the entries of the one stream that was read."""
    if not found:
        return []
    streams = found.values() if isinstance(found, dict) else [stream[1] for stream in found]
    entries: list[tuple[bytes, Any]] = []
    for stream in streams:
        for part in (
            stream if stream and isinstance(stream[0], list) and isinstance(stream[0][0], tuple) else [stream]
        ):
            entries += part
    return entries
