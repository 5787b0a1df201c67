"""Clients of Redis, made of the URLs that REDIS_URL and PIPELINE_STORE_URL may hold; `address` shows their forms.

A user of Redis' access control lists needs these rights and no more, in a database or a server of celery-waves' own:

    ACL SETUSER waves on >PASSWORD {CONTROL_RIGHTS}      for REDIS_URL
    ACL SETUSER pipes on >PASSWORD {PIPE_RIGHTS}         for PIPELINE_STORE_URL; a Cluster also +cluster +command
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from typing import Any, TypeVar

from redis import BlockingConnectionPool, ConnectionPool, Redis, RedisCluster
from redis.backoff import ExponentialBackoff, NoBackoff
from redis.connection import Connection, SSLConnection, UnixDomainSocketConnection
from redis.exceptions import AuthenticationError, AuthorizationError, ReadOnlyError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry
from redis.sentinel import Sentinel

from pipeline.connections.address import CLUSTER, Address, parse
from pipeline.errors import UnreachableError

T = TypeVar("T")

CONTROL_RIGHTS = (
    "~* &* +@read +@write +@connection +@transaction +@scripting +@pubsub -@dangerous +time +info"
)
PIPE_RIGHTS = "~* +get +mget +set +getrange +setrange +ttl +pttl +expire +eval +@connection +info"
PATIENCE = 2.0  # seconds that Redis may be gone before a program is told so
WORKER_PATIENCE = 30.0  # the same for workers and beat: a restart or a failover is over by then
HEALTH_CHECK = 10  # seconds without traffic after which a connection is tried before it is used
SENTINEL_TIMEOUT = 2.0  # seconds that one Sentinel may take to answer, before the next one is asked
CLUSTER_RETRIES = 8  # with the pauses between them some 5 s, in which a cluster elects a new master

_CLASSES: dict[str, Any] = {
    "redis": Connection,
    "rediss": SSLConnection,
    "unix": UnixDomainSocketConnection,
}
_RETRIED = (RedisConnectionError, RedisTimeoutError, ReadOnlyError, socket.timeout)
_REFUSED = (AuthenticationError, AuthorizationError)  # the next try would be answered the same

# A peer that is gone without a word is noticed after a minute, not after the system's two hours.
KEEP_ALIVE = {
    getattr(socket, name): value
    for name, value in {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3}.items()
    if hasattr(socket, name)
}


class Patience(Retry):
    """Tries again for as long as Redis may be gone, in seconds.

    redis-py nests its retries, so that a number of them would multiply. The time counts from the first failure since
    anything succeeded: what comes after it is over fails at the second try, so that a Redis that is gone for good
    costs its users little. A demoted primary (READONLY) counts as gone: its name or its Sentinels soon tell another.
    """

    __hash__ = Retry.__hash__

    def __init__(self, seconds: float) -> None:
        super().__init__(ExponentialBackoff(cap=1.0, base=0.05), 0, _RETRIED)
        self._seconds = seconds
        self._gone_since: float | None = None

    def __deepcopy__(self, memo: Any) -> Patience:
        """Return this one: all connections of a client wait together."""
        return self

    def call_with_retry(
        self,
        do: Callable[[], T],
        fail: Callable[..., Any],
        is_retryable: Callable[[Exception], bool] | None = None,
        with_failure_count: bool = False,
    ) -> T:
        """Call `do` until it succeeds; `fail` after each failure."""
        began, failures = time.monotonic(), 0
        while True:
            try:
                done = do()
            except _RETRIED as error:
                failures += 1
                fail(error, failures) if with_failure_count else fail(error)
                if isinstance(error, _REFUSED) or (is_retryable is not None and not is_retryable(error)):
                    raise
                self._gone_since = min(self._gone_since or began, began)
                if failures > 1 and time.monotonic() - self._gone_since >= self._seconds:
                    raise
                time.sleep(self._backoff.compute(failures))
            else:
                self._gone_since = None
                return done


def connect(url: str, timeout: float, patience: float, **more: Any) -> Redis:
    """Build a client; nothing is sent before it is used. `more` are options of its connections.

    `timeout` and `patience` in seconds: how long one answer may take, and how long Redis may be gone before an error
    is raised. Raises UnreachableError for a URL that names no such server.
    """
    found = parse(url)
    if found.scheme in CLUSTER:
        raise UnreachableError(
            f"REDIS_URL={found} names a Redis Cluster, which can hold pipes and nothing else. Give it as "
            "PIPELINE_STORE_URL, and a single Redis (or one with Sentinels) as REDIS_URL."
        )
    options = {**connection_options(found, timeout), "retry": Patience(patience), **more, **found.options}
    if found.scheme == "sentinel":
        once = {"retry": Retry(NoBackoff(), 0)}  # where one Sentinel is gone the next one is asked at once
        manager: Any = Sentinel(found.hosts, sentinel_kwargs=sentinel_options(found) | once)  # type: ignore[no-untyped-call]
        own = {"db": found.db, "ssl": found.tls, **found.user, **pool_options(found)}
        client: Redis = manager.master_for(found.master, Redis, **own, **options)
        return client
    pool = BlockingConnectionPool if found.pool else ConnectionPool
    return Redis(
        connection_pool=pool(connection_class=_CLASSES[found.scheme], **found.place, **options, **found.pool)
    )


def connect_cluster(url: str, timeout: float) -> RedisCluster:
    """Build a client of a Cluster; it asks a node for the others at once. Raises redis' own errors."""
    found = parse(url)
    (host, port), *_ = found.hosts
    options = {**connection_options(found, timeout), **found.options, **found.user, **pool_options(found)}
    retry = Retry(ExponentialBackoff(cap=1.0, base=0.05), CLUSTER_RETRIES)
    return RedisCluster(host=host, port=port, ssl=found.tls, retry=retry, **options)


def connection_options(found: Address, timeout: float) -> dict[str, Any]:
    """Return what every connection is made with, where the URL does not say otherwise; `timeout` in seconds."""
    keeping = {"socket_keepalive": True, "socket_keepalive_options": KEEP_ALIVE} if found.hosts else {}
    times = {"socket_timeout": timeout, "socket_connect_timeout": timeout}
    return {**times, **keeping, "health_check_interval": HEALTH_CHECK}


def pool_options(found: Address) -> dict[str, Any]:
    """Return what a pool takes that lets nobody wait: those of Sentinels and of a Cluster."""
    return {name: value for name, value in found.pool.items() if name != "timeout"}


def sentinel_options(found: Address) -> dict[str, Any]:
    """Return the options of connections to the Sentinels."""
    times = {"socket_timeout": SENTINEL_TIMEOUT, "socket_connect_timeout": SENTINEL_TIMEOUT}
    return {**times, "socket_keepalive": True, **found.sentinel}
