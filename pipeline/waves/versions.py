"""Comparing versions: what several versions of the code made of the same entities and dates."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.app import settings
from pipeline.errors import RunError, UnknownName, listed
from pipeline.flows.pipe import check_version, hour, stamp
from pipeline.store import Store
from pipeline.store.codec import is_numeric
from pipeline.waves.runtime import process_runtime

if TYPE_CHECKING:
    import pandas as pd


def compare(
    pipe: str,
    versions: Sequence[str],
    entities: Sequence[str],
    dates: Sequence[datetime | str],
    *,
    store: Store | None = None,
) -> pd.DataFrame:
    """Return one pipe as several versions made it, in the long format.

    Args:
        pipe: The name of the task that made it; its values may be of any kind.
        versions: Each is read by itself, nothing from a base version, in one pipelined read.
        entities: Their keys.
        dates: Hours, each aware and on the hour, or a text like 2013-06-25T13.
        store: The pipe store; the process' own by default.

    Returns:
        unique_id, ds, version, value: a row for each entity, date and version, in this order. The value is missing
        (NaN, or None beside values that are not numbers) where the version has no pipe.

    Raises:
        UnknownName: A version has none of these pipes.
        KeyFormatError: A date or a version cannot be part of a key.

    Example:
        >>> store = MemoryStore()
        >>> for version, delay in [("main", 12.5), ("faster", 11.0)]:
        ...     refused = store.put(version, "delay", "2013-06-25T13", {"JFK-LAX": delay}, ttl=86400)
        >>> compare("delay", ["main", "faster"], ["JFK-LAX"], ["2013-06-25T13"], store=store)["value"].tolist()
        [12.5, 11.0]
    """
    store = store or process_runtime(settings).store
    hours = [hour(date) for date in dates]
    found = {name: store.get_grid(check_version(name), pipe, hours, entities) for name in versions}
    _check(pipe, found, entities, hours)
    values = [found[name].get((entity, date)) for entity in entities for date in hours for name in versions]
    return _long(entities, hours, versions, values)


def _check(
    pipe: str,
    found: dict[str, dict[tuple[str, datetime], Any]],
    entities: Sequence[str],
    hours: list[datetime],
) -> None:
    for name, pipes in found.items():
        if not pipes and entities and hours:
            others = listed(repr(other) for other in found if found[other])
            raise UnknownName(
                f"version {name!r} has no pipe {pipe!r} of these {len(entities):,} entities from {stamp(min(hours))} "
                f"to {stamp(max(hours))}. Those that have: {others}. `wave ls` lists the waves of each version."
            )


def _long(
    entities: Sequence[str], hours: Sequence[datetime], versions: Sequence[str], values: list[Any]
) -> pd.DataFrame:
    try:
        import pandas as pd  # noqa: PLC0415 - optional extra
    except ImportError:
        raise RunError("compare() needs pandas. Install it: pip install 'celery-waves[arrow]'.") from None
    each = len(hours) * len(versions)
    numbers = all(value is None or is_numeric(value) for value in values)
    index = pd.DatetimeIndex(hours) if hours else pd.DatetimeIndex([], tz="UTC")
    return pd.DataFrame(
        {
            "unique_id": np.repeat(np.array(entities, dtype=object), each),
            "ds": index.repeat(len(versions))[np.tile(np.arange(each), len(entities))],
            "version": np.tile(np.array(versions, dtype=object), len(entities) * len(hours)),
            "value": pd.Series(values, dtype="float64" if numbers else object),
        }
    )
