"""Removes what one version of the code has left in Redis: its pipes, waves, totals, queues and served models.

Keys are looked for by SCAN, a bounded number at a time, so that a Redis at work answers others meanwhile.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from typing import Any

from pipeline.errors import SettingsError
from pipeline.flows.pipe import check_version
from pipeline.gate.flow_totals import KEY as TOTALS
from pipeline.gate.keys import DEADLINES, WAVES
from pipeline.waves.runtime import Runtime

PAGE = 1000  # keys that one SCAN looks at, and that one go removes
KINDS = ("wave", "totals", "scheduled", "seen", "costs", "serve")  # keys `kind:version/name ...`
INDEXES = {WAVES: "zscan_iter", DEADLINES: "zscan_iter", TOTALS: "sscan_iter"}  # their members name a version
BINDING = "_kombu.binding."
_QUEUE = re.compile(r"[A-Za-z0-9_-]+|serve\.[A-Za-z0-9._-]+")


def belongs(key: str, version: str) -> bool:
    """Return whether a key is of this version, and not of one whose name begins alike: `a` has no part in `a/b`."""
    if key == f"serve:{version}":
        return True
    kind, colon, rest = key.partition(":")
    text = rest if colon and kind in KINDS else key
    head, blank, _ = text.partition(" ")
    named = text is not key and kind != "serve"  # those of other kinds have a blank behind the name
    if head.rpartition("/")[0] == version and (blank or named):
        return True
    queue = text.removeprefix(BINDING).partition("\x06")[0]
    return queue.startswith(f"{version}.") and bool(_QUEUE.fullmatch(queue[len(version) + 1 :]))


def keys_of(client: Any, version: str) -> Iterator[str]:
    """Yield the keys of a version; one may come twice, as SCAN does."""
    # No version holds a character that means something in a pattern.
    for found in client.scan_iter(match=f"*{version}*", count=PAGE):
        if belongs(key := found.decode(errors="replace"), version):
            yield key


def count(runtime: Runtime, version: str) -> int:
    """Return how many keys a version has, in the control Redis and the pipe store. Raises KeyFormatError."""
    check_version(version)
    return sum(len(set(keys_of(client, version))) for client in clients(runtime))


def clean(runtime: Runtime, version: str, protected: str = "main") -> int:
    """Remove all keys of a version, and return how many those were. Raises SettingsError for the protected one."""
    check_version(version)
    if version == protected:
        raise SettingsError(
            f"the pipes of {version!r} are what the others are compared with, and are never removed by this. Its keys "
            "end by themselves."
        )
    _forget(runtime.client, version)
    return sum(_remove(client, version) for client in clients(runtime))


def clients(runtime: Runtime) -> list[Any]:
    """Return the control Redis, and that of the pipes where it is another."""
    store: Any = getattr(runtime.store, "client", None)
    own = runtime.settings.pipe_store_url == runtime.settings.redis_url
    return [runtime.client] if own or store is None else [runtime.client, store]


def _forget(client: Any, version: str) -> None:
    """Take the version's waves out of the lists of all waves first, so that no keeper looks for what goes."""
    for index, scan in INDEXES.items():
        members = (
            each[0] if isinstance(each, tuple) else each for each in getattr(client, scan)(index, count=PAGE)
        )
        prefix = "totals:" if index == TOTALS else ""
        own = (raw for raw in members if belongs(prefix + raw.decode(errors="replace"), version))
        while page := list(islice(own, PAGE)):
            (client.srem if index == TOTALS else client.zrem)(index, *page)


def _remove(client: Any, version: str) -> int:
    removed, keys = 0, keys_of(client, version)
    while page := list(islice(keys, PAGE)):
        with client.pipeline(transaction=False) as pipe:
            for key in page:
                pipe.unlink(key)
            removed += sum(pipe.execute())
    return removed
