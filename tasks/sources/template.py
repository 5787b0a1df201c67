"""Texts with fields for an entity and an hour: "https://api.example.com/{entity}?day={date:%Y-%m-%d}".

The fields: `entity` (its key), `partition`, `date` (the wave's hour, UTC), `end` (an hour later), and each feature
of the entity by its name. A time without a format is written like 2013-06-25T13:00:00Z; the format `unix` gives
seconds since 1970, any other is strftime's.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime, timedelta
from string import Formatter
from typing import Any

from pipeline.errors import RunError, TaskError, listed, near

TIMES = ("date", "end")
_FIXED = ("entity", "partition", *TIMES)


def utc_text(moment: datetime) -> str:
    """Write a moment in UTC, to the second, like 2013-06-25T13:00:00Z."""
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


class Template:
    """A text whose fields are filled in for an entity at an hour."""

    def __init__(self, text: str, what: str, allowed: Collection[str] | None = None) -> None:
        """Check a text. `what` names it in messages; `allowed` are its possible fields (None: features too).

        Raises TaskError.
        """
        self.text, self.what = text, what
        try:
            parts = list(Formatter().parse(text))
        except (TypeError, ValueError) as error:
            raise TaskError(
                f"{what} {text!r} cannot be read: {error}. Write {{entity}}, and {{{{ for a brace."
            ) from None
        for _, field, _, conversion in parts:
            if field is not None and (not field.isidentifier() or conversion):
                raise TaskError(
                    f"{what} {text!r} has the field {{{field}}}, which is not a name. Write it like {{entity}}."
                )
            if field is not None and allowed is not None and field not in allowed:
                raise TaskError(
                    f"{what} {text!r} names {{{field}}}, which is unknown there.{near(field, allowed)} "
                    f"It may name: {listed(allowed)}."
                )
        self._parts = [(literal, field, spec or "") for literal, field, spec, _ in parts]

    @property
    def constant(self) -> bool:
        """True for a text without fields."""
        return all(field is None for _, field, _ in self._parts)

    def fill(self, entity: str, date: datetime, quote: Callable[[str], str] = str) -> str:
        """Write the text for an entity at an hour, each field's value through `quote`. Raises RunError."""
        return "".join(
            literal if field is None else literal + quote(self._field(field, spec, entity, date))
            for literal, field, spec in self._parts
        )

    def _field(self, field: str, spec: str, entity: str, date: datetime) -> str:
        value = self._value(field, entity, date)
        try:
            if field in TIMES and spec in ("", "unix"):
                return str(int(value.timestamp())) if spec else utc_text(value)
            return format(value, spec)
        except (TypeError, ValueError) as error:
            raise RunError(
                f"{self.what} cannot write {field} {value!r} as {{{field}:{spec}}}: {error}."
            ) from None

    def _value(self, field: str, entity: str, date: datetime) -> Any:
        if field in TIMES:
            return date if field == "date" else date + timedelta(hours=1)
        if field == "entity":
            return str(entity)
        # A plain text does for an entity when a task is called by hand.
        features = getattr(entity, "features", {})
        partition = getattr(entity, "partition_name", None)
        if field == "partition" and partition is not None:
            return partition
        if field in features:
            return features[field]
        raise RunError(
            f"{self.what} names {{{field}}}, but {str(entity)!r} has no such feature."
            f"{near(field, [*features, *_FIXED])} It has: {listed(features)}."
        )
