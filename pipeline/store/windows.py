"""Windows: the last hours of many entities' numbers, read from their series; a base version fills what one lacks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

import numpy as np

from pipeline.store import series

SLICE = 500  # keys that travel in one go
BLOCK = 100  # entities whose windows travel in one go: some 500 KB

# Fills a row an entity with the slots of some spans: prefix of the keys, entities, spans, rows.
ReadSlots = Callable[[str, Sequence[str], Sequence[series.Span], series.Bits], None]


def read_window(
    read: ReadSlots,
    prefixes: Sequence[str],
    end: datetime,
    hours: int,
    entities: Sequence[str],
    own_last: bool = False,
) -> series.Floats:
    """Read the `hours` hours up to and including `end`: (hours, entities), NaN where there is no number.

    prefixes   of the version's keys, and of its base's, if it has one: slots that the first has not are filled from
               the second
    own_last   the base fills no slot of `end`
    """
    own, *others = prefixes
    rows, spans = series.table(len(entities), hours), series.spans(end, hours)
    read(own, entities, spans, rows)
    for base in others:
        _fill(read, base, entities, spans, rows, hours - 1 if own_last else hours)
    return series.window(rows)


def _fill(
    read: ReadSlots,
    prefix: str,
    entities: Sequence[str],
    spans: Sequence[series.Span],
    rows: series.Bits,
    hours: int,
) -> None:
    """Fill the NaNs of the first `hours` hours from another version, some entities at a time."""
    values = rows.view(np.float64)
    for start in range(0, len(entities), SLICE):
        part = values[start : start + SLICE, :hours]
        lacking = np.flatnonzero(np.isnan(part).any(axis=1))
        if lacking.size:
            other = series.table(len(lacking), rows.shape[1])
            read(prefix, [entities[start + i] for i in lacking.tolist()], spans, other)
            own = part[lacking]
            part[lacking] = np.where(np.isnan(own), other.view(np.float64)[:, :hours], own)
