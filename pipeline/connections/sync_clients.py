"""Clients of Redis, made of the URLs that REDIS_URL and PIPELINE_STORE_URL may hold.

    redis://[user:password@]host:port/db      one server
    rediss://...?ssl_ca_certs=/path/ca.pem    the same with TLS; its certificate is checked, by these authorities
    unix:///path/to/socket?db=0               one server on this machine; for pipes only
    sentinel://[user:password@]host:port;host:port/db?master=NAME
                                              the primary of that name, as the Sentinels know it; the user is
                                              Redis' own, that of Sentinels is &sentinel_username, &sentinel_password
    redis+cluster://, rediss+cluster://       a Redis Cluster, by any of its nodes; for pipes only

What a URL says of time-outs and the like is added as a parameter, as in redis-py.

A user of Redis' access control lists needs these rights and no more, in a database or a server of celery-waves' own:

    ACL SETUSER waves on >PASSWORD {CONTROL_RIGHTS}      for REDIS_URL
    ACL SETUSER pipes on >PASSWORD {PIPE_RIGHTS}         for PIPELINE_STORE_URL; a Cluster also +cluster +command
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit, urlunsplit

from redis import ConnectionPool, Redis, RedisCluster
from redis.backoff import ExponentialBackoff, NoBackoff
from redis.exceptions import AuthenticationError, AuthorizationError, ReadOnlyError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry
from redis.sentinel import Sentinel

from pipeline.errors import UnreachableError
from pipeline.settings import without_secret

T = TypeVar("T")

CONTROL_RIGHTS = (
    "~* &* +@read +@write +@connection +@transaction +@scripting +@pubsub -@dangerous +time +info"
)
PIPE_RIGHTS = "~* +get +mget +set +getrange +setrange +ttl +pttl +expire +eval +scan +@connection +info"
PATIENCE = 2.0  # seconds that Redis may be gone before a program is told so
WORKER_PATIENCE = 30.0  # the same for workers and beat: a restart or a failover is over by then
HEALTH_CHECK = 10  # seconds without traffic after which a connection is tried before it is used
SENTINEL_PORT = 26379
SENTINEL_TIMEOUT = 2.0  # seconds that one Sentinel may take to answer, before the next one is asked
CLUSTER_RETRIES = 8  # with the pauses between them some 5 s, in which a cluster elects a new master

_SINGLE = ("redis", "rediss", "unix")
_CLUSTER = ("redis+cluster", "rediss+cluster")
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
        """Return itself: all connections of a client wait together."""
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


@dataclass(frozen=True, slots=True)
class Sentinels:
    """What a sentinel:// URL says."""

    hosts: tuple[tuple[str, int], ...]
    master: str
    db: int
    user: dict[str, str] = field(repr=False)  # username and password of Redis
    own: dict[str, str] = field(repr=False)  # those of the Sentinels

    @property
    def options(self) -> dict[str, Any]:
        """Return the options of connections to the Sentinels."""
        return {
            "socket_timeout": SENTINEL_TIMEOUT,
            "socket_connect_timeout": SENTINEL_TIMEOUT,
            "socket_keepalive": True,
        } | self.own


def is_cluster(url: str) -> bool:
    """Return whether a URL names a Redis Cluster."""
    return url.partition("://")[0] in _CLUSTER


def connection_options(url: str, timeout: float) -> dict[str, Any]:
    """Return what every connection to a URL's server is made with; `timeout` in seconds."""
    options: dict[str, Any] = {"socket_timeout": timeout, "health_check_interval": HEALTH_CHECK}
    if url.startswith("unix:"):
        return options
    kept = {"socket_keepalive": True, "socket_keepalive_options": KEEP_ALIVE}
    return options | {"socket_connect_timeout": timeout} | kept


def connect(url: str, timeout: float, patience: float, **more: Any) -> Redis:
    """Build a client; nothing is sent before it is used. `more` are options of its connections.

    `timeout` and `patience` in seconds: how long one answer may take, and how long Redis may be gone before an error
    is raised. Raises UnreachableError for a URL that names no such server.
    """
    options = connection_options(url, timeout) | {"retry": Patience(patience), **more}
    scheme = url.partition("://")[0]
    if scheme == "sentinel":
        found = sentinels(url)
        once = {"retry": Retry(NoBackoff(), 0)}  # where one Sentinel is gone the next one is asked at once
        manager: Any = Sentinel(found.hosts, sentinel_kwargs=found.options | once)  # type: ignore[no-untyped-call]
        client: Redis = manager.master_for(found.master, Redis, db=found.db, **found.user, **options)
        return client
    if is_cluster(url):
        raise UnreachableError(
            f"REDIS_URL={without_secret(url)} names a Redis Cluster, which can hold pipes and nothing else. Give it as "
            "PIPELINE_STORE_URL, and a single Redis (or one with Sentinels) as REDIS_URL."
        )
    if scheme not in _SINGLE:
        known = ", ".join(f"{name}://" for name in (*_SINGLE, "sentinel", *_CLUSTER))
        raise UnreachableError(f"{without_secret(url)!r} is not a Redis URL. It begins with one of {known}.")
    try:
        return Redis(connection_pool=ConnectionPool.from_url(url, **options))
    except ValueError as error:
        raise UnreachableError(f"{without_secret(url)!r} is not a Redis URL: {error}") from None


def connect_cluster(url: str, timeout: float) -> RedisCluster:
    """Build a client of a Cluster; it asks a node for the others at once. Raises redis' own errors."""
    return RedisCluster.from_url(
        url.replace("+cluster", "", 1),
        **connection_options(url, timeout),
        retry=Retry(ExponentialBackoff(cap=1.0, base=0.05), CLUSTER_RETRIES),
    )


def sentinels(url: str) -> Sentinels:
    """Read a sentinel:// URL. Raises UnreachableError, which says how one looks."""
    head, _, tail = url.removeprefix("sentinel://").rpartition("@")
    places, _, rest = tail.partition("/")
    db, _, query = rest.partition("?")
    options = dict(parse_qsl(query))
    name, colon, password = head.partition(":")
    try:
        hosts = tuple(_host(place) for place in places.split(";"))
        number = int(db or 0)
        master = options["master"]
    except (ValueError, KeyError):
        raise UnreachableError(
            f"{without_secret(url)!r} is not a Sentinel URL. It looks like "
            "sentinel://user:password@host:26379;host:26379/0?master=NAME."
        ) from None
    user = {"username": unquote(name)} if name else {}
    if colon:
        user["password"] = unquote(password)
    own = {
        key: options[f"sentinel_{key}"] for key in ("username", "password") if f"sentinel_{key}" in options
    }
    return Sentinels(hosts, master, number, user, own)


def _host(place: str) -> tuple[str, int]:
    host, _, port = place.rpartition(":") if ":" in place else (place, "", str(SENTINEL_PORT))
    if not host:
        raise ValueError(place)
    return host, int(port)


def broker_settings(url: str) -> dict[str, Any]:
    """Return the Celery settings that name the broker: broker_url, broker_use_ssl, and part of the transport options.

    What is no such URL is given as it is: the first look at Redis tells.
    """
    scheme = url.partition("://")[0]
    if scheme == "sentinel":
        try:
            found = sentinels(url)
        except UnreachableError:
            return {"broker_url": url, "broker_use_ssl": False, "options": {}}
        user = ":".join(quote(found.user.get(key, ""), safe="") for key in ("username", "password"))
        login = f"{user}@" if found.user else ""
        urls = [f"sentinel://{login}{host}:{port}/{found.db}" for host, port in found.hosts]
        options = {"master_name": found.master, "sentinel_kwargs": found.options}
        return {"broker_url": ";".join(urls), "broker_use_ssl": False, "options": options}
    if scheme == "rediss":
        parts = urlsplit(url)
        query = parse_qsl(parts.query)
        tls = {key: value for key, value in query if key.startswith("ssl_")}
        rest = urlencode([(key, value) for key, value in query if not key.startswith("ssl_")])
        plain = urlunsplit(parts._replace(query=rest))
        return {"broker_url": plain, "broker_use_ssl": _tls(tls), "options": {}}
    return {"broker_url": url, "broker_use_ssl": False, "options": {}}


def _tls(given: dict[str, str]) -> dict[str, Any]:
    """Return kombu what redis-py does by itself: it would not look at the server's certificate otherwise."""
    found: dict[str, Any] = {"ssl_cert_reqs": "required"} | given
    if "ssl_check_hostname" in found:
        found["ssl_check_hostname"] = str(found["ssl_check_hostname"]).lower() in ("true", "yes", "1", "on")
    return found
