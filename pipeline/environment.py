"""Settings that are read from the environment: frozen dataclasses, a field a line, and one reader for all. Pure.

Each field holds in its metadata its `variable`, its `meaning` and how its text is parsed: what a table of the settings
shows. pydantic-settings does the same for 0.35 s of CPU at each start, twice what `wave --help` takes in all.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import field, fields
from inspect import cleandoc
from typing import Any, TypeVar

from pipeline.errors import DurationError, SettingsError
from pipeline.flows import durations

T = TypeVar("T")
Parse = Callable[[str, str], Any]  # a variable's text and name; raises SettingsError


def setting(
    variable: str,
    default: Any,
    meaning: str,
    parse: Parse | None = None,
    unset: Callable[[], Any] | None = None,
) -> Any:
    """Declare a field. `default` may be a factory; `unset()`, unless empty, holds where the variable is not set."""
    metadata = {"variable": variable, "meaning": meaning, "parse": parse, "unset": unset}
    if callable(default):
        return field(default_factory=default, metadata=metadata)
    return field(default=default, metadata=metadata)


def explained(kind: type[T]) -> type[T]:
    """Append an `Args:` section to a settings class' docstring: each field's meaning and variable."""
    shown = [f"    {f.name}: {f.metadata['meaning']} ({f.metadata['variable']})." for f in fields(kind)]  # type: ignore[arg-type]
    kind.__doc__ = "\n".join([cleandoc(kind.__doc__ or ""), "", "Args:", *shown])
    return kind


def read(kind: type[T], environ: Mapping[str, str] | None = None) -> T:
    """Read a settings class from the environment (`os.environ` by default).

    Raises SettingsError, which names the variable, its value and what it should be.
    """
    env = os.environ if environ is None else environ
    found = {}
    for one in fields(kind):  # type: ignore[arg-type]
        variable, parse, unset = (one.metadata[part] for part in ("variable", "parse", "unset"))
        if value := env.get(variable):
            found[one.name] = parse(value, variable) if parse else value
        elif unset and (value := unset()):
            found[one.name] = value
    return kind(**found)


def seconds(value: str, name: str) -> float:
    """Read a length of time, "90s" or a number of seconds; returns seconds."""
    length: durations.Duration
    try:
        length = float(value)
    except ValueError:
        length = value
    try:
        return durations.seconds(length, name)
    except DurationError as error:
        raise SettingsError(f"{error} (from the environment)") from None


def count(value: str, name: str, least: int = 1) -> int:
    """Read a whole number, above zero unless `least` is 0."""
    if not (value.isascii() and value.isdigit() and int(value) >= least):
        raise SettingsError(f"{name}={value!r} is not a whole number{' above zero' if least else ''}.")
    return int(value)


def size(value: str, name: str) -> int:
    """Read a whole number, 0 too."""
    return count(value, name, least=0)


def number(value: str) -> float:
    """Read a number; -1 for what is none."""
    try:
        return float(value)
    except ValueError:
        return -1.0


def share(value: str, name: str) -> float:
    """Read a share between 0 and 1."""
    if not 0 <= (found := number(value)) <= 1:
        raise SettingsError(f"{name}={value!r} is not a share between 0 and 1.")
    return found
