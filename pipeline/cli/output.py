"""How commands write: tables for people, plain lines where nobody looks, JSON for programs."""

from __future__ import annotations

import sys
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import click
import orjson
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

STATUSES = ("finished", "failed", "skipped", "pending")
COLOURS = {"finished": "green", "failed": "red", "skipped": "yellow", "pending": "dim", "open": "cyan"}


def terminal() -> Console | None:
    """Return the terminal's console, None where the output goes to a file or another program."""
    return Console() if sys.stdout.isatty() else None


def table(head: Sequence[str], rows: Sequence[Sequence[Any]], right: Sequence[str] = ()) -> None:
    """Write rows under a head; the columns in `right` are aligned to the right."""
    texts = [["" if cell is None else str(cell) for cell in row] for row in rows]
    console = terminal()
    if console is None:
        plain_table(head, texts, right)
        return
    cells = [[Text(cell, style=_colour(cell)) for cell in row] for row in texts]
    console.print(rich_table(head, cells, right, overflow="fold"))


def rich_table(
    head: Sequence[str], rows: Sequence[Sequence[Any]], right: Collection[str], **how: Any
) -> Table:
    """Build a table for a terminal; `how` are options of its columns."""
    found = Table(box=SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for name in head:
        found.add_column(name, justify="right" if name in right else "left", **how)
    for row in rows:
        found.add_row(*row)
    return found


def _colour(cell: str) -> str:
    return COLOURS.get(cell.partition(" ")[0].rstrip(":,"), "")


def plain_table(head: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[str] = ()) -> None:
    """Write rows under a head as plain text, whoever reads it."""
    lines = [head, *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    aligned = [name in right for name in head]
    for row in lines:
        cells = [c.rjust(w) if r else c.ljust(w) for c, w, r in zip(row, widths, aligned, strict=True)]
        click.echo("  ".join(cells).rstrip())


def write_json(value: Any) -> None:
    """Write JSON, one value, indented."""
    options = orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS | orjson.OPT_SERIALIZE_NUMPY
    click.echo(orjson.dumps(value, default=_default, option=options))


def _default(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else str(value)


def plain(value: Any) -> Any:
    """Return a value as JSON takes it: DataFrames and Series by their columns, bytes as hexadecimal digits."""
    if hasattr(value, "to_dict"):
        return value.reset_index().to_dict(orient="list")
    return value.hex() if isinstance(value, bytes) else value
