"""Clients of Redis for asyncio, made of the same URLs as those of `sync_clients`."""

from __future__ import annotations

from typing import Any

from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff

from pipeline.connections.sync_clients import connection_options, is_cluster, sentinels
from pipeline.errors import UnreachableError
from pipeline.settings import without_secret

_SINGLE = ("redis", "rediss", "unix")


def connect(url: str, timeout: float) -> Redis:
    """Build a client; nothing is sent before it is used, and what fails is tried once more.

    `timeout` in seconds: how long one answer may take. Raises UnreachableError for a URL that names no such server.
    """
    options = connection_options(url, timeout) | {"retry": Retry(NoBackoff(), 1)}
    scheme = url.partition("://")[0]
    if scheme == "sentinel":
        found = sentinels(url)
        once = {"retry": Retry(NoBackoff(), 0)}  # where one Sentinel is gone the next one is asked at once
        manager: Any = Sentinel(found.hosts, sentinel_kwargs=found.options | once)  # type: ignore[no-untyped-call]
        client: Redis = manager.master_for(found.master, Redis, db=found.db, **found.user, **options)
        return client
    if is_cluster(url) or scheme not in _SINGLE:
        raise UnreachableError(
            f"{without_secret(url)!r} names no single Redis, which serving needs. Set REDIS_URL to one."
        )
    return Redis(connection_pool=ConnectionPool.from_url(url, **options))
