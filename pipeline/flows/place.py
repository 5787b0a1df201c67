"""Place: where a task or a state is declared, by which one thing is known from another of its name."""

from __future__ import annotations

import hashlib
import inspect
import linecache
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from tokenize import TokenError
from types import CodeType, FrameType
from typing import Any

DEPTH = 10  # frames from a declaration to its module's top; a test's function is further away
_OURS = tuple(f"{Path(__file__).parents[2] / package}/" for package in ("pipeline", "tasks", "forecasting"))


@dataclass(frozen=True)
class Place:
    """Where something is declared: not in the function that makes it for a user, but where the user calls that."""

    # file and line; where a function of the user's made it, also that of its module's top, which called the function
    spots: tuple[tuple[str, int], ...]
    name: str  # qualified, of the function; <name> for what has no such name of its own
    code: CodeType | None = field(repr=False)
    plain: bool = field(repr=False)  # a function that depends on nothing but its own text
    run: tuple[Any, Any] = field(
        repr=False
    )  # the namespace of its module, and the spec under which that was run

    @classmethod
    def of(cls, fn: Callable[..., Any] | None) -> Place:
        """Return the place that this call comes from, of a function (or of what has none)."""
        inner, top = _frames(sys._getframe(1))
        spots = dict.fromkeys((frame.f_code.co_filename, frame.f_lineno) for frame in (inner, top))
        code = getattr(fn, "__code__", None)
        own = code is not None and code.co_filename == inner.f_code.co_filename
        name = code.co_qualname if code and own else f"<{getattr(fn, '__name__', type(fn).__name__)}>"
        plain = own and getattr(fn, "__closure__", True) is None
        return cls(tuple(spots), name, code, plain, (top.f_globals, top.f_globals.get("__spec__")))

    def __str__(self) -> str:
        return ", called from ".join(f"{file}:{line}" for file, line in self.spots)

    def same(self, other: Place) -> bool:
        """Return whether both are one declaration, as of a module that is imported again or under two names."""
        if self._key != other._key:
            return False
        once = all(mine is its for mine, its in zip(self.run, other.run, strict=True))
        return self.plain and self.code == other.code if once else True

    @property
    def _key(self) -> tuple[Any, ...]:
        return self.name, self.spots if "<" in self.name else self._files

    @property
    def _files(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(file for file, _ in self.spots))

    @cached_property
    def note(self) -> Mapping[str, str]:
        """Describe it for processes that may run elsewhere: see `same_note`."""
        texts = [self.name, *(Path(file).name for file in self._files), *map(_source, self.spots)]
        if any(file.startswith("<") for file in self._files):  # of no file: all that tells is the code itself
            texts.append(repr((self.code.co_code, self.code.co_consts)) if self.code else "")
            key = ""
        else:
            key = " ".join((*self._files, self.name))
        return {
            "at": str(self),
            "key": key,
            "text": hashlib.sha256("\0".join(texts).encode()).hexdigest()[:16],
        }


def same_note(mine: Mapping[str, Any], its: Mapping[str, Any]) -> bool:
    """Return whether two notes are of one declaration: in one file, or with one text in files of one name."""
    return bool(mine["key"] and mine["key"] == its.get("key")) or mine["text"] == its.get("text")


def _frames(frame: FrameType) -> tuple[FrameType, FrameType]:
    """Return the innermost frame that is not of our functions, and its module's top if that is not far."""
    inner: FrameType | None = None
    at: FrameType | None = frame
    for _ in range(DEPTH):
        if at is None:
            break
        code = at.f_code
        top = code.co_name == "<module>"
        ours = code.co_filename.startswith(_OURS) or (code.co_filename, code.co_name) == (
            "<string>",
            "__init__",
        )
        if inner is None and (top or not ours):
            inner = at
        if top:
            return inner or at, at
        at = at.f_back
    inner = inner or frame
    return inner, inner


def _source(spot: tuple[str, int]) -> str:
    """Return the text of the statement at a place, or of its line where that is within one; "" where there is none."""
    file, line = spot
    try:
        return "".join(inspect.getblock(linecache.getlines(file)[line - 1 :]))
    except (SyntaxError, TokenError, IndexError, ValueError):
        return linecache.getline(file, line)
