"""Clients of Redis for asyncio, made of the same URLs as those of `sync_clients`."""

from __future__ import annotations

from typing import Any

from redis.asyncio import BlockingConnectionPool, ConnectionPool, Redis
from redis.asyncio.connection import Connection, SSLConnection, UnixDomainSocketConnection
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff

from pipeline.connections.address import CLUSTER, parse
from pipeline.connections.sync_clients import connection_options, pool_options, sentinel_options
from pipeline.errors import UnreachableError

_CLASSES: dict[str, Any] = {
    "redis": Connection,
    "rediss": SSLConnection,
    "unix": UnixDomainSocketConnection,
}


def connect(url: str, timeout: float) -> Redis:
    """Build a client; nothing is sent before it is used, and what fails is tried once more.

    `timeout` in seconds: how long one answer may take. Raises UnreachableError for a URL that names no such server.
    """
    found = parse(url)
    if found.scheme in CLUSTER:
        raise UnreachableError(
            f"{str(found)!r} names no single Redis, which serving needs. Set REDIS_URL to one."
        )
    options = {**connection_options(found, timeout), "retry": Retry(NoBackoff(), 1), **found.options}
    if found.scheme == "sentinel":
        once = {"retry": Retry(NoBackoff(), 0)}  # where one Sentinel is gone the next one is asked at once
        manager: Any = Sentinel(found.hosts, sentinel_kwargs=sentinel_options(found) | once)  # type: ignore[no-untyped-call]
        own = {"db": found.db, "ssl": found.tls, **found.user, **pool_options(found)}
        client: Redis = manager.master_for(found.master, Redis, **own, **options)
        return client
    pool: Any = BlockingConnectionPool if found.pool else ConnectionPool
    return Redis(
        connection_pool=pool(connection_class=_CLASSES[found.scheme], **found.place, **options, **found.pool)
    )
