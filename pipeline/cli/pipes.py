"""`wave pipe`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from pipeline.cli.options import json_option
from pipeline.cli.output import plain, table, write_json
from pipeline.cli.run import shown
from pipeline.cli.session import Session, with_redis
from pipeline.cli.waiting import busy
from pipeline.errors import KeyFormatError, UnknownName
from pipeline.flows.entity import check_entity_key
from pipeline.flows.pipe import ONE_HOUR, PipeKey, check_version, hour, stamp
from pipeline.formatting import length, plural
from pipeline.store import Store

FORMS = "KEY (as in 'main/delay JFK-LAX 2013-06-25T13'), or VERSION PIPE ENTITY DATE"
SOME_DATES = 20
AROUND = 72  # hours to either side in which a missing pipe's neighbours are looked for


@click.command()
@click.argument("words", nargs=-1, required=True, metavar="KEY | VERSION PIPE ENTITY DATE")
@click.option(
    "--dates", is_flag=True, help="List the dates at which there is one; leave DATE out. Looks at every key."
)
@json_option
@with_redis
def pipe(session: Session, words: tuple[str, ...], dates: bool, as_json: bool) -> None:
    """Show a stored pipe: its value, its size, and how long it will live.

    A pipe's key is `VERSION/PIPE ENTITY DATE`, quoted or not. What is not the value goes to stderr.
    """
    store = session.runtime.store
    if dates:
        _dates(store, words, as_json)
        return
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


def _words(words: Sequence[str], count: int) -> list[str]:
    """Split a key that was given quoted, or by `VERSION/PIPE`, into its parts. Raises KeyFormatError."""
    parts = [part for word in words for part in word.split()]
    if len(parts) == count - 1 and "/" in parts[0]:
        version, _, name = parts[0].rpartition("/")
        parts = [version, name, *parts[1:]]
    if len(parts) != count:
        wanted = FORMS if count == 4 else "VERSION/PIPE ENTITY, or VERSION PIPE ENTITY"
        raise KeyFormatError(f"{' '.join(words)!r} is not a pipe. Give its {wanted}.")
    return parts


def _key(words: Sequence[str]) -> PipeKey:
    version, name, entity, date = _words(words, 4)
    return PipeKey(version, name, entity, hour(date))


def _others(store: Store, key: PipeKey) -> str:
    """Return which dates of the same pipe are nearest, within some days."""
    around = [key.date + ONE_HOUR * n for n in range(-AROUND, AROUND + 1)]
    found = sorted(
        store.get_dates(key.version, key.pipe, key.entity, around), key=lambda d: abs(d - key.date)
    )
    if not found:
        return f" {key.version}/{key.pipe} has none of {key.entity!r} within {AROUND // 24} days of it."
    return f" The nearest of {key.entity!r} are at {', '.join(sorted(map(stamp, found[:3])))}."


def _dates(store: Store, words: Sequence[str], as_json: bool) -> None:
    version, name, entity = _words(words, 3)
    check_version(version)
    check_entity_key(entity, scope=True)
    with busy("looking at every key"):
        dates = [key.date for key in store.keys(version, name, entity)]
    if as_json:
        write_json([stamp(date) for date in dates])
        return
    if not dates:
        raise UnknownName(f"{version}/{name} has no pipe of {entity!r} at any date.")
    newest = dates[-SOME_DATES:]
    values = store.get_dates(version, name, entity, newest)
    table(["date", "value"], [[stamp(date), _line(values.get(date))] for date in newest])
    if len(dates) > len(newest):
        click.echo(
            f"and {plural(len(dates) - len(newest), 'older date')} from {stamp(dates[0])} on: --json lists all"
        )


def _line(value: Any) -> str:
    text = shown(value, 3).replace("\n", " ")
    return text if len(text) <= 100 else text[:97] + "..."
