"""Runtime: the clients of one process, made once from its settings and passed to all that need them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property

from kombu.exceptions import OperationalError
from redis import ConnectionPool, Redis
from redis.backoff import ExponentialBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

from pipeline import app
from pipeline.canvas import Sender
from pipeline.errors import UnreachableError
from pipeline.gate import Gate
from pipeline.rate import RateLimiter
from pipeline.records import Records
from pipeline.registry import RedisStates
from pipeline.settings import Settings, without_secret
from pipeline.store import RedisStore, Store

RETRIES = 3


@dataclass(frozen=True)
class Runtime:
    """Everything that talks to Redis. Each part is made when it is first asked for."""

    settings: Settings

    @cached_property
    def client(self) -> Redis:
        """The control Redis: waves, deadlines, states and rates."""
        return client(self.settings.redis_url, self.settings.socket_timeout)

    @cached_property
    def store(self) -> Store:
        """The pipe store."""
        same = self.settings.pipe_store_url == self.settings.redis_url
        found = self.client if same else client(self.settings.pipe_store_url, self.settings.socket_timeout)
        return RedisStore(found, min_ttl=self.settings.min_ttl, max_value=self.settings.max_value)

    @cached_property
    def gate(self) -> Gate:
        """Who may run what."""
        return Gate(self.client)

    @cached_property
    def records(self) -> Records:
        """What Redis holds of waves."""
        return Records(self.client)

    @cached_property
    def states(self) -> RedisStates:
        """The registries of entities."""
        return RedisStates(self.client)

    @cached_property
    def rates(self) -> RateLimiter:
        """The rates of collectors."""
        return RateLimiter(self.client)

    @cached_property
    def sender(self) -> Sender:
        """Sends messages to this Redis' queues."""
        return Sender(app.app if self.settings == app.settings else app.make_app(self.settings))

    @contextmanager
    def reachable(self) -> Iterator[None]:
        """Turn what clients raise when Redis does not answer into UnreachableError."""
        try:
            yield
        except (RedisConnectionError, RedisTimeoutError, OperationalError) as error:
            raise unreachable(self.settings.redis_url, error) from None

    def check(self) -> None:
        """Ask both Redis for an answer. Raises UnreachableError, which names the address without its password."""
        for url, found in {
            self.settings.redis_url: self.client,
            self.settings.pipe_store_url: getattr(self.store, "client", self.client),
        }.items():
            try:
                found.ping()
            except (RedisConnectionError, RedisTimeoutError, RedisError, OSError) as error:
                raise unreachable(url, error) from None


def client(url: str, timeout: float) -> Redis:
    """Make a client with timeouts, keep-alive and a few retries. Raises UnreachableError for a URL it cannot read."""
    try:
        pool = ConnectionPool.from_url(
            url,
            socket_timeout=timeout,
            socket_connect_timeout=timeout,
            socket_keepalive=True,
            health_check_interval=25,
            retry=Retry(ExponentialBackoff(cap=1.0, base=0.05), RETRIES),
        )
    except ValueError as error:
        raise UnreachableError(f"{without_secret(url)!r} is no Redis URL: {error}") from None
    return Redis(connection_pool=pool)


def unreachable(url: str, error: Exception) -> UnreachableError:
    """Make the error of a Redis that does not answer."""
    return UnreachableError(
        f"Redis at {without_secret(url)} does not answer ({type(error).__name__}: {error}). Start it, or set REDIS_URL "
        "to one that runs; `wave demo` brings its own."
    )


_runtimes: dict[int, tuple[Settings, Runtime]] = {}


def process_runtime(settings: Settings) -> Runtime:
    """Give this process' runtime for some settings: a forked child gets connections of its own."""
    known = _runtimes.get(os.getpid())
    if known is None or known[0] != settings:
        _runtimes.clear()
        known = _runtimes[os.getpid()] = (settings, Runtime(settings))
    return known[1]
