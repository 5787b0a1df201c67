"""The transport of messages: kombu's for Redis, with one fault of it mended.

When only the connection on which a worker hears remote control is cut, kombu 5.7 over redis-py 8 stops for good: the
loop wakes, redis-py connects anew by itself and then waits, without a limit, for a message that nobody sent. Here it
looks whether there is one, and goes on.

`install` puts it under kombu's own names, because kombu knows TLS by the name `rediss` and logs addresses by it.
"""

from __future__ import annotations

from functools import cached_property, partial
from typing import Any

from kombu.transport import TRANSPORT_ALIASES, redis

WAIT = 1.0  # seconds in which the rest of a message must come whose beginning has


class _Subscriber:
    """A channel that never waits for what may not come."""

    _create_client: Any

    @cached_property
    def subclient(self) -> Any:
        """The connection on which remote control is heard."""
        found = self._create_client(asynchronous=True).pubsub()
        found.parse_response = partial(found.parse_response, block=False, timeout=WAIT)
        return found


class _Channel(_Subscriber, redis.Channel):
    pass


class _SentinelChannel(_Subscriber, redis.SentinelChannel):
    pass


class Transport(redis.Transport):
    """redis:// and rediss://."""

    Channel = _Channel


class SentinelTransport(redis.SentinelTransport):
    """sentinel://."""

    Channel = _SentinelChannel


def install() -> None:
    """Let every connection that this process makes to Redis use it."""
    TRANSPORT_ALIASES["redis"] = TRANSPORT_ALIASES["rediss"] = f"{__name__}:Transport"
    TRANSPORT_ALIASES["sentinel"] = f"{__name__}:SentinelTransport"
