"""The form of what lies in Redis, as a number that records and messages carry. Pure.

Old and new code run beside each other during an upgrade. Who reads ignores the fields that it does not know, so that
one more needs no new form. docs/upgrade.md says what a change of a record must do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from pipeline.errors import UnreadableError

FORM = 1  # the newest form that this code reads and writes


def check_form(found: object, what: str) -> int:
    """Return the form of a record, given as it says. Raises UnreadableError for one that this code does not read."""
    if isinstance(found, int) and 1 <= found <= FORM:
        return found
    if isinstance(found, int) and found > FORM:
        raise UnreadableError(
            f"{what} has form {found}, and this process reads up to form {FORM}. Start one of the code that wrote it."
        )
    raise UnreadableError(f"{what} does not say its form: it is damaged, or of 0.1.0.")


def known_fields(kind: type, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of the values that a dataclass has fields for."""
    return {field.name: values[field.name] for field in fields(kind) if field.name in values}
