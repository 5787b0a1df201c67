"""The form of what lies in Redis, as a number that records and messages carry; and what could not be read.

Old and new code run beside each other during an upgrade. Who reads ignores the fields that it does not know, so that
one more needs no new form. CONTRIBUTING.md says what a change of a record must do.

unreadable   sorted set: what was set aside and why it cannot be read, by when that was met last (ms)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import fields
from typing import Any, TypeVar

from redis import Redis

from pipeline.errors import UnreadableError

T = TypeVar("T")
R = TypeVar("R")

FORM = 1  # the newest form that this code reads and writes
OLDEST_FORM = 1  # that it still reads and writes
UNREADABLE = "unreadable"
NAMED = 1000  # of what could not be read at most, the newest
SHOWN_MS = 86_400_000  # one that nobody met for so long is not told of any more
LONGEST = 400  # characters of a text

# What reading raises of bytes that are not what they should be.
DAMAGE = (UnreadableError, ValueError, TypeError, LookupError, AttributeError)


def check_form(found: object, what: str) -> int:
    """Return the form of a record, given as it says. Raises UnreadableError for one that this code does not read."""
    if isinstance(found, int) and OLDEST_FORM <= found <= FORM:
        return found
    if isinstance(found, int) and found > FORM:
        raise UnreadableError(
            f"{what} has form {found}, and this process reads up to form {FORM}. Start one of the code that wrote it."
        )
    raise UnreadableError(f"{what} does not say its form: it is damaged, or of 0.1.0.")


def known_fields(kind: type, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of the values that a dataclass has fields for."""
    return {field.name: values[field.name] for field in fields(kind) if field.name in values}


def readable(read: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
    """Yield what `read` makes of each item, without those that it cannot read."""
    for item in items:
        try:
            found = read(item)
        except DAMAGE:
            continue
        yield found


def name_unreadable(client: Redis, text: str) -> None:
    """Name what cannot be read, with its reason."""
    found: Any = client
    with found.pipeline(transaction=False) as pipe:
        pipe.zadd(UNREADABLE, {text[:LONGEST]: found.time()[0] * 1000})
        pipe.zremrangebyrank(UNREADABLE, 0, -1 - NAMED)
        pipe.execute()


def named_unreadable(client: Redis) -> tuple[str, ...]:
    """Return what was met within the last day, the newest first."""
    found: Any = client
    since = found.time()[0] * 1000 - SHOWN_MS
    return tuple(text.decode(errors="replace") for text in found.zrevrangebyscore(UNREADABLE, "+inf", since))
