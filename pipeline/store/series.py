"""Series: the numbers of one pipe and entity, packed into a slot of 8 bytes an hour. Pure.

The hours since 1970 are cut into periods of four weeks, 672 slots each. A period is named by its first day,
so that the numbers of `main/delay JFK-LAX` of 25 June 2013 are in `main/delay JFK-LAX series 2013-06-20`.

A slot is the float64 (little endian), its bits XOR those of NaN. Redis pads with zero bytes, so what was
never written reads as NaN, and 0.0 is 0.0. A whole number beyond 2**53 loses its last digits here, not in its
pipe.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Bits = npt.NDArray[np.uint64]

SLOT = 8  # bytes
PERIOD = 672  # slots: four weeks of hours
_HOUR = 3600
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NAN = np.uint64(0x7FF8000000000000)


@dataclass(frozen=True, slots=True)
class Span:
    """Some consecutive hours that lie in one period."""

    period: int  # number of the period since 1970
    first: int  # slot of the first hour
    hours: int

    @property
    def tail(self) -> str:
        """What ends the key of a series of this period: " series 2013-06-20"."""
        return f" series {_EPOCH + timedelta(hours=self.period * PERIOD):%Y-%m-%d}"

    @property
    def offset(self) -> int:
        """Where the first slot begins, in bytes."""
        return self.first * SLOT

    @property
    def size(self) -> int:
        """Length in bytes."""
        return self.hours * SLOT

    @property
    def ends(self) -> int:
        """When the whole period is over, in seconds since 1970."""
        return (self.period + 1) * PERIOD * _HOUR


def number(date: datetime) -> int:
    """Count the hours from 1970 to a date in UTC."""
    return int(date.timestamp()) // _HOUR


def spans(end: datetime, hours: int) -> list[Span]:
    """Cut the `hours` hours up to and including `end` at the periods' borders, oldest first."""
    first, stop = number(end) - hours + 1, number(end) + 1
    found = []
    while first < stop:
        period, slot = divmod(first, PERIOD)
        length = min(PERIOD - slot, stop - first)
        found.append(Span(period, slot, length))
        first += length
    return found


def pack(values: Sequence[float]) -> bytes:
    """Turn numbers into slots, one after the other."""
    return (np.asarray(values, np.float64).view(np.uint64) ^ _NAN).astype("<u8", copy=False).tobytes()


def cut(slots: bytes) -> Iterator[bytes]:
    """Cut packed slots into single ones."""
    return (slots[at : at + SLOT] for at in range(0, len(slots), SLOT))


def unpack(slots: bytes, out: Bits) -> None:
    """Write slots into `out`, of whatever shape, as the bits of float64."""
    np.bitwise_xor(np.frombuffer(slots, "<u8").reshape(out.shape), _NAN, out=out)


def table(entities: int, hours: int) -> Bits:
    """Build the array that `unpack` fills: a row an entity. See `window`."""
    return np.empty((entities, hours), np.uint64)


def window(rows: Bits) -> Floats:
    """Look at a table of bits as numbers, an hour a row and an entity a column, without copying it.

    The numbers of one entity stay next to each other in memory, which is how a DataFrame wants its columns.
    """
    return rows.view(np.float64).T
