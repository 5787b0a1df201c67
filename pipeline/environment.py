"""Reading settings from the environment. Each error names the variable, its value and what it should be. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.errors import DurationError, SettingsError
from pipeline.flows import durations


def seconds(env: Mapping[str, str], name: str, default: float) -> float:
    """Read a length of time, "90s" or a number of seconds; gives seconds. Raises SettingsError."""
    value = env.get(name)
    if not value:
        return default
    length: durations.Duration
    try:
        length = float(value)
    except ValueError:
        length = value
    try:
        return durations.seconds(length, name)
    except DurationError as error:
        raise SettingsError(f"{error} (from the environment)") from None


def count(env: Mapping[str, str], name: str, default: int, least: int = 1) -> int:
    """Read a whole number, above zero unless `least` is 0. Raises SettingsError."""
    value = env.get(name) or str(default)
    if not (value.isascii() and value.isdigit() and int(value) >= least):
        raise SettingsError(f"{name}={value!r} is no whole number{' above zero' if least else ''}.")
    return int(value)


def share(env: Mapping[str, str], name: str, default: float) -> float:
    """Read a share between 0 and 1. Raises SettingsError."""
    text = env.get(name)
    if not text:
        return default
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise SettingsError(f"{name}={text!r} is no share between 0 and 1.")
    return value
