"""Wire: thousands of commands of one shape in one go, in Redis' own protocol.

redis-py's pipelines take 6 us for each command in this process; a Lua script that does the same in a loop
costs the server twice as much as the plain commands. Commands that are written here straight as RESP cost 1
us to send and read, over redis-py's own connections, pool and retries.

A batch is some commands and how many replies they have. The next batch is sent before the replies of the last
one are read, so that the server works while we do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from types import NoneType
from typing import Any, TypeVar

from redis import Redis

T = TypeVar("T")
Batch = tuple[bytes, int]
# replies, but neither errors nor what hiredis says of itself
_PLAIN = frozenset((bytes, int, list, NoneType))
Batches = Callable[[], Iterable[Batch]]  # called again when the connection broke


class Wire:
    """Sends batches over one client's connections. What it sends must bear being sent twice."""

    def __init__(self, client: Redis) -> None:
        self._client = client

    def replies(self, batches: Batches) -> list[Any]:
        """Send all batches and give the replies of all, in order. Raises redis' own errors."""
        return self._with_connection(lambda c: [reply for part in _stream(c, batches()) for reply in part])

    def feed(self, batches: Batches, take: Callable[[int, list[Any]], None]) -> None:
        """Send all batches and hand over the replies of each, with its number, as they come."""

        def work(connection: Any) -> None:
            for number, replies in enumerate(_stream(connection, batches())):
                take(number, replies)

        self._with_connection(work)

    def _with_connection(self, work: Callable[[Any], T]) -> T:
        pool = self._client.connection_pool
        connection: Any = pool.get_connection()
        try:
            done: T = connection.retry.call_with_retry(
                lambda: work(connection), lambda _: connection.disconnect()
            )
            return done
        except BaseException:
            connection.disconnect()  # replies that nobody read would answer the next command
            raise
        finally:
            pool.release(connection)


def _stream(connection: Any, batches: Iterable[Batch]) -> Iterator[list[Any]]:
    waiting = 0
    for commands, count in batches:
        # A health check in the midst of it would read the reply of another command.
        connection.send_packed_command([commands], check_health=not waiting)
        if waiting:
            yield _read(connection, waiting)
        waiting = count
    if waiting:
        yield _read(connection, waiting)


def _read(connection: Any, count: int) -> list[Any]:
    """Read so many replies: one by the connection, and then what else its parser has got already.

    That saves most of what redis-py does for each reply. A parser that is no hiredis' is left alone.
    """
    ready = getattr(getattr(connection._parser, "_reader", None), "gets", None)
    replies: list[Any] = []
    while len(replies) < count:
        replies.append(connection.read_response(disable_decoding=True))
        while ready is not None and len(replies) < count:
            reply = ready(False)
            if type(reply) not in _PLAIN:
                if isinstance(reply, Exception):
                    raise reply
                break  # the rest is still to come
            replies.append(reply)
    return replies


def argument(value: str | bytes | int) -> bytes:
    """Write one argument of a command."""
    data = value if isinstance(value, bytes) else str(value).encode()
    return b"$%d\r\n%b\r\n" % (len(data), data)


def arguments(values: Sequence[str]) -> list[bytes]:
    """Write many arguments, apart from each other."""
    return [b"$%d\r\n%b\r\n" % (len(data), data) for data in [value.encode() for value in values]]
