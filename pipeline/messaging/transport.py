"""The transport of messages: kombu's for Redis, with two faults of it mended.

When only the connection on which a worker hears remote control is cut, kombu 5.7 over redis-py 8 stops for good: the
loop wakes, redis-py connects anew by itself and then waits, without a limit, for a message that nobody sent. Here it
looks whether there is one, and goes on. And it dates what a worker has taken by that worker's clock: here by Redis'.

With the transport option `ack_emulation: false` a worker keeps in its memory alone what it has not acknowledged. That
is for messages which somebody sends again when their worker dies.

`Broker` gives it to the connections of one Celery application. kombu's table of names, which is the process', stays
as it is, and the names stay kombu's own: it knows TLS by `rediss`, and logs addresses by it.
"""

from __future__ import annotations

import time
from functools import cached_property, partial
from typing import Any

from celery.app.amqp import AMQP
from kombu import Connection
from kombu.transport import redis, virtual
from kombu.utils.json import dumps

from pipeline.clock import RedisClock
from pipeline.connections.address import Address
from pipeline.connections.broker import connection_params

WAIT = 1.0  # seconds in which the rest of a message must come whose beginning has


class _ByRedisClock(redis.QoS):
    """What was not acknowledged, dated by Redis' clock.

    kombu dates it by the worker's own: one whose clock is hours ahead would send again all that others run, and what
    one takes whose clock is behind would be sent again by the others.
    """

    @cached_property
    def _clock(self) -> RedisClock:
        return RedisClock(self._ask)

    def _ask(self) -> tuple[int, int]:
        with self.channel.conn_or_acquire() as client:
            whole, micros = client.time()
        return whole, micros

    @property
    def visibility_timeout(self) -> float:
        """What kombu takes from its own time to come to what Redis' time was that long ago."""
        return float(self.channel.visibility_timeout) + time.time() - self._clock.time()

    def append(self, message: Any, delivery_tag: str) -> None:
        """Note a message that was taken, and when."""
        info = message.delivery_info
        raw = dumps([message._raw, info["exchange"], info["routing_key"]])
        with self.pipe_or_acquire() as pipe:
            pipe.zadd(self.unacked_index_key, {delivery_tag: self._clock.time()})
            pipe.hset(self.unacked_key, delivery_tag, raw)
            pipe.execute()
        virtual.QoS.append(self, message, delivery_tag)


class _InMemory(virtual.QoS):
    """What was not acknowledged, in this process alone; given back to the queue when the process ends."""

    def restore_unacked(self) -> list[Any]:
        """Return to the queue what Redis takes. kombu would write the rest to a file, for nobody."""
        super().restore_unacked()
        return []


class _Mended:
    """A channel that never waits for what may not come."""

    QoS: Any = _ByRedisClock
    ack_emulation: bool
    address: Address | None = (
        None  # where it connects to, a transport option; None for what kombu's own URL says
    )
    _create_client: Any

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        if not self.ack_emulation:
            self.QoS = _InMemory

    def _connparams(self, asynchronous: bool = False) -> dict[str, Any]:
        found: dict[str, Any] = super()._connparams(asynchronous)  # type: ignore[misc]
        if self.address is None:
            return found
        return found | connection_params(self.address, isinstance(self, redis.SentinelChannel))

    @cached_property
    def subclient(self) -> Any:
        """The connection on which remote control is heard."""
        found = self._create_client(asynchronous=True).pubsub()
        found.parse_response = partial(found.parse_response, block=False, timeout=WAIT)
        return found


class _Channel(_Mended, redis.Channel):
    from_transport_options = (*redis.Channel.from_transport_options, "address")


class _SentinelChannel(_Mended, redis.SentinelChannel):
    from_transport_options = (*redis.SentinelChannel.from_transport_options, "address")


class Transport(redis.Transport):
    """redis:// and rediss://."""

    Channel = _Channel


class SentinelTransport(redis.SentinelTransport):
    """sentinel://."""

    Channel = _SentinelChannel


_MENDED = {"redis": Transport, "rediss": Transport, "sentinel": SentinelTransport}


class BrokerConnection(Connection):
    """A connection to the broker; its clones and pools are of the same kind."""

    def get_transport_cls(self) -> type[redis.Transport]:
        """Return the mended transport of the connection's name."""
        return _MENDED.get(self.transport_cls) or super().get_transport_cls()

    def as_uri(self, include_password: bool = False, mask: str = "**", **more: Any) -> str:
        """Return its address; without the password, for logs, as the user has written it."""
        address = self.transport_options.get("address")
        return (
            str(address)
            if address and not include_password
            else super().as_uri(include_password, mask, **more)
        )


class Broker(AMQP):
    """What a Celery application makes its connections with: `Celery(amqp=Broker)`."""

    Connection = BrokerConnection
