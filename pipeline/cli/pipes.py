"""`wave pipe`."""

from __future__ import annotations

from collections.abc import Sequence

import click

from pipeline.cli.options import json_option
from pipeline.cli.output import plain, write_json
from pipeline.cli.run import shown
from pipeline.cli.session import Session, with_redis
from pipeline.errors import KeyFormatError, UnknownName
from pipeline.flows.pipe import ONE_HOUR, PipeKey, hour, stamp
from pipeline.formatting import length, plural
from pipeline.store import Store

FORMS = "KEY (as in 'main/delay JFK-LAX 2013-06-25T13'), or VERSION PIPE ENTITY DATE"
AROUND = 72  # hours to either side in which a missing pipe's neighbours are looked for


@click.command()
@click.argument("words", nargs=-1, required=True, metavar="KEY | VERSION PIPE ENTITY DATE")
@json_option
@with_redis
def pipe(session: Session, words: tuple[str, ...], as_json: bool) -> None:
    """Show a stored pipe: its value, its size, and how long it will live.

    A pipe's key is `VERSION/PIPE ENTITY DATE`, quoted or not. What is not the value goes to stderr.
    """
    store = session.runtime.store
    key = _key(words)
    found = store.get(key.version, key.pipe, key.date, [key.entity])
    if key.entity not in found:
        raise UnknownName(f"there is no pipe {key}.{_others(store, key)}")
    value, ttl, size = found[key.entity], store.ttl(str(key)) or 0.0, len(store.raw(str(key)) or b"")
    if as_json:
        write_json({"key": str(key), "value": plain(value), "ttl_seconds": round(ttl), "bytes": size})
        return
    click.echo(shown(value, 40))
    click.echo(
        f"{key}: {type(value).__name__}, {plural(size, 'byte')}, lives for {length(ttl)} more", err=True
    )


def _key(words: Sequence[str]) -> PipeKey:
    """Read a key that was given quoted or not, by `VERSION/PIPE` or apart. Raises KeyFormatError."""
    parts = [part for word in words for part in word.split()]
    if len(parts) == 3 and "/" in parts[0]:
        version, _, name = parts[0].rpartition("/")
        parts = [version, name, *parts[1:]]
    if len(parts) != 4:
        raise KeyFormatError(f"{' '.join(words)!r} is not a pipe. Give its {FORMS}.")
    version, name, entity, date = parts
    return PipeKey(version, name, entity, hour(date))


def _others(store: Store, key: PipeKey) -> str:
    """Return which dates of the same pipe are nearest, within some days."""
    around = [key.date + ONE_HOUR * n for n in range(-AROUND, AROUND + 1)]
    grid = store.get_grid(key.version, key.pipe, around, [key.entity])
    found = sorted((date for _, date in grid), key=lambda d: abs(d - key.date))
    if not found:
        return f" {key.version}/{key.pipe} has none of {key.entity!r} within {AROUND // 24} days of it."
    return f" The nearest of {key.entity!r} are at {', '.join(sorted(map(stamp, found[:3])))}."
