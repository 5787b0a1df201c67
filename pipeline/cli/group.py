"""A click group whose commands are loaded when they are used, and whose errors are texts."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NoReturn

import click

from pipeline.errors import PipelineError
from pipeline.flows.own_modules import clash, hiding

_MARKER = re.compile(r"""extra\s*==\s*['"]([^'"]+)['"]""")


SYNONYMS = (
    ("rm", "remove", "delete", "del"),
    ("ls", "list"),
    ("show", "describe", "get"),
    ("add", "create", "new"),
)


class Failure(click.ClickException):
    """An error on purpose: its text, and exit code 2."""

    exit_code = 2

    def show(self, file: Any = None) -> None:
        """Write the text to stderr."""
        click.echo(f"wave: {self.message}", file=file, err=file is None)


class CommandGroup(click.Group):
    """Commands by name, from a table of ours and from an entry-point group of other packages.

    commands_at    name -> ("module:attribute", short help)
    entry_points   name of the group in which other packages name theirs
    """

    def __init__(
        self,
        *args: Any,
        commands_at: Mapping[str, tuple[str, str]],
        entry_points: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self._at = commands_at
        self._group = entry_points

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names, ours first."""
        return [*self._at, *sorted(self._others())]

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Load a command, None where there is none of that name."""
        if name in self._at:
            module, _, attribute = self._at[name][0].partition(":")
            found: click.Command = getattr(import_module(module), attribute)
            return found
        entry = self._others().get(name)
        return None if entry is None else _load(entry)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, and name the near ones of one that is not there."""
        try:
            return super().resolve_command(ctx, args)
        except click.NoSuchCommand:
            known = self.list_commands(ctx)
            close = _same(args[0], known) or get_close_matches(args[0], known, n=3)
            hint = f" Did you mean {' or '.join(close)}?" if close else ""
            ctx.fail(f"no command {args[0]!r}.{hint}")

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands for `--help` without loading them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in self._at.items()])
        others = sorted(self._others().items())
        if others:
            with formatter.section("Commands of other packages"):
                formatter.write_dl([(name, _first_line(entry)) for name, entry in others])

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; an error of ours becomes a text and an exit code."""
        try:
            return super().invoke(ctx)
        except PipelineError as error:
            raise Failure(str(error)) from error
        except ModuleNotFoundError as error:  # of a command that imports its extra when it runs
            entry = self._others().get(ctx.invoked_subcommand or "")
            if entry is None:
                raise
            _fail_for(entry, error)
        except KeyboardInterrupt:
            raise click.exceptions.Exit(130) from None

    def _others(self) -> dict[str, EntryPoint]:
        if self._group is None:
            return {}
        return {entry.name: entry for entry in entry_points(group=self._group) if entry.name not in self._at}


def _same(word: str, known: Sequence[str]) -> list[str]:
    """Return the commands that other programs call by this word."""
    return [name for words in SYNONYMS if word in words for name in known if name in words]


def _load(entry: EntryPoint) -> click.Command:
    if (theirs := hiding(entry.module)) is not None:
        raise Failure(f"the command {entry.name!r} cannot run here: {clash(entry.module, theirs)}")
    try:
        found: click.Command = entry.load()
    except ModuleNotFoundError as error:
        _fail_for(entry, error)
    return found


def _fail_for(entry: EntryPoint, error: ModuleNotFoundError) -> NoReturn:
    """Raise Failure, which names the extra that brings the module that a command lacks."""
    missing = (error.name or "").partition(".")[0]
    extra = _extra(entry, missing)
    if extra is None:
        raise Failure(
            f"the command {entry.name!r} needs {missing!r}, which is not installed. Install it."
        ) from error
    package = entry.dist.name if entry.dist else "celery-waves"
    raise Failure(
        f"the command {entry.name!r} needs {missing!r}, which comes with the extra [{extra}]. "
        f"Install it: pip install '{package}[{extra}]'"
    ) from error


def _extra(entry: EntryPoint, module: str) -> str | None:
    """Find the extra that a command names for itself, else the first whose requirements look like the module."""
    if entry.extras:
        return str(entry.extras[0])
    for requirement in (entry.dist.requires or []) if entry.dist else []:
        marker = _MARKER.search(requirement)
        if marker and requirement.lower().replace("-", "_").startswith(module.lower()):
            return marker[1]
    return None


def _first_line(entry: EntryPoint) -> str:
    """Return the first line of a command's docstring from its source: loading it could cost seconds."""
    if hiding(entry.module) is not None:
        return "(not here: a module of yours has the name of its package)"
    try:
        spec = find_spec(entry.module)
        tree = (
            ast.parse(Path(spec.origin).read_text())
            if spec is not None and spec.origin
            else ast.Module([], [])
        )
    except (ImportError, OSError, SyntaxError, ValueError):
        return ""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name == entry.attr:
            return (ast.get_docstring(node) or "").partition("\n")[0]
    return ""
