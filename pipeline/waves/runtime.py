"""Runtime: the clients of one process, made once from its settings and passed to all that need them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from kombu.exceptions import OperationalError
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import OutOfMemoryError, RedisClusterException, RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from pipeline import app
from pipeline.clock import RedisClock
from pipeline.connections.address import is_cluster, parse
from pipeline.connections.sync_clients import PATIENCE, connect, connect_cluster
from pipeline.errors import UnreachableError
from pipeline.gate.gate import Gate
from pipeline.gate.rate_limiter import RateLimiter
from pipeline.gate.records import Records
from pipeline.messaging.canvas import Sender
from pipeline.settings import Settings, without_secret
from pipeline.states import RedisStates
from pipeline.store import ClusterStore, RedisStore, Store
from pipeline.telemetry.tracing import OFF, Tracer, check


@dataclass(frozen=True)
class Runtime:
    """Everything that talks to Redis. Each part is made when it is first asked for.

    Args:
        settings: Where Redis is.
        patience: Seconds that Redis may be gone before an error is raised.

    Example:
        >>> Wave.find("main/weather 2026-01-01T12", Runtime(Settings.from_env()))  # doctest: +SKIP
        Wave('main/weather 2026-01-01T12')
    """

    settings: Settings
    patience: float = PATIENCE

    @cached_property
    def client(self) -> Redis:
        """The control Redis: waves, deadlines, states and rates.

        Raises UnreachableError for what is not a URL of one, or of a pipe store: before anything is written.
        """
        parse(self.settings.pipe_store_url)
        return connect(self.settings.redis_url, self.settings.socket_timeout, self.patience)

    @cached_property
    def clock(self) -> RedisClock:
        """The control Redis' clock: what is decided by the time of day is decided by it."""
        return RedisClock(self.client.time)

    @cached_property
    def store(self) -> Store:
        """The pipe store.

        Where it is a Redis of its own, what goes wrong with it is a StoreError, and fails the entities that need
        it. An error of the control Redis stays what it is: nothing can be told to fail then.
        """
        url, timeout = self.settings.pipe_store_url, self.settings.socket_timeout
        options: dict[str, Any] = {"min_ttl": self.settings.min_ttl, "max_value": self.settings.max_value}
        options["clock"] = self.clock.time
        if url == self.settings.redis_url:
            return RedisStore(self.client, **options)
        if is_cluster(url):
            return ClusterStore(lambda: connect_cluster(url, timeout), place=without_secret(url), **options)
        return RedisStore(connect(url, timeout, self.patience), place=without_secret(url), **options)

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

    @cached_property
    def tracer(self) -> Tracer:
        """The sender of spans to a collector, where the settings name one. Raises SettingsError."""
        if not self.settings.traces:
            return OFF
        check(self.settings)
        from pipeline.telemetry.spans import SpanTracer, sending_to  # noqa: PLC0415 - an optional extra

        return SpanTracer(sending_to(self.settings.traces), self.records)

    @contextmanager
    def reachable(self) -> Iterator[None]:
        """Turn what clients raise when Redis does not answer into UnreachableError."""
        try:
            yield
        except OutOfMemoryError as error:
            raise UnreachableError(
                f"Redis at {without_secret(self.settings.redis_url)} is full ({error}). Raise its maxmemory; "
                "`wave doctor` tells what it holds."
            ) from None
        except (RedisConnectionError, RedisTimeoutError, OperationalError) as error:
            raise unreachable(self.settings.redis_url, error) from None

    def store_info(self) -> dict[str, dict[str, Any]]:
        """Return what INFO says of each server of a pipe store of its own; nothing where the control Redis holds it."""
        url = self.settings.pipe_store_url
        if url == self.settings.redis_url:
            return {}
        client: Any = getattr(self.store, "client", None)
        if is_cluster(url):
            return {node.name: client.info(target_nodes=node) for node in client.get_primaries()}
        found = client.info()
        return {f"port {found.get('tcp_port', '?')}": found}

    def check(self) -> None:
        """Ask both Redis for an answer. Raises UnreachableError, which names the address without its password."""
        for url in {self.settings.redis_url: None, self.settings.pipe_store_url: None}:
            try:
                self._ping(url)
            except (RedisError, RedisClusterException, OSError) as error:
                raise unreachable(url, error) from None

    def _ping(self, url: str) -> None:
        timeout = self.settings.socket_timeout
        if is_cluster(url) and url != self.settings.redis_url:
            with connect_cluster(url, timeout) as cluster:
                cluster.ping()
        else:
            with connect(url, timeout, patience=0.5) as found:
                try:
                    found.ping()
                finally:
                    found.connection_pool.disconnect()


def unreachable(url: str, error: Exception) -> UnreachableError:
    """Build the error of a Redis that does not answer."""
    return UnreachableError(
        f"Redis at {without_secret(url)} does not answer ({type(error).__name__}: {error}). Start it, or set REDIS_URL "
        "to one that runs; `wave demo` brings its own."
    )


_runtimes: dict[tuple[int, Settings, float], Runtime] = {}


def process_runtime(settings: Settings, patience: float = PATIENCE) -> Runtime:
    """Return this process' runtime for some settings: a forked child gets connections of its own."""
    key = (os.getpid(), settings, patience)
    if key not in _runtimes:
        for old in [k for k in _runtimes if k[0] != key[0]]:
            del _runtimes[old]
        _runtimes[key] = Runtime(settings, patience)
    return _runtimes[key]
