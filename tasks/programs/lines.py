"""What a command reads and writes: one JSON object a line."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson

from tasks.errors import CommandError
from tasks.sources.template import utc_text

_MAX_FAULTS = 1000  # lines that cannot be read, after which the rest is not looked at
_SHOWN = 200  # characters of a line that a message shows


@dataclass(slots=True)
class Answers:
    """What a command answered."""

    # entity -> value, or the CommandError that it reported
    values: dict[str, Any] = field(default_factory=dict)
    fault: str = ""  # what is wrong with the first line that cannot be read


def request(entity: str, date: datetime, inputs: Mapping[str, Any]) -> bytes:
    """Write the line that asks for an entity. Raises CommandError when an input has no form in JSON."""
    line = {
        "entity": str(entity),
        "date": utc_text(date),
        # A plain text does for an entity when a task is called by hand.
        "features": dict(getattr(entity, "features", {})),
        **inputs,
    }
    try:
        return orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE | orjson.OPT_SERIALIZE_NUMPY)
    except TypeError as error:
        which = next((name for name, value in line.items() if not _is_plain(value)), "entity")
        raise CommandError(f"{which!r} of {str(entity)!r} cannot be sent as JSON: {error}.") from None


def parse(output: bytes, asked: Collection[str], ended: bool = True) -> Answers:
    """Read what a command wrote, for the entities that it was asked for.

    `ended` is False when it was killed: its last line may then be half a line, and is left out without a word.
    """
    answers, faults = Answers(), 0
    *lines, rest = output.split(b"\n")
    if ended:
        lines.append(rest)
    for number, line in enumerate(lines, 1):
        fault = _take(line, asked, answers.values) if line.strip() else None
        if fault is not None:
            faults += 1
            answers.fault = answers.fault or f"line {number} of its answer {fault}: {_show(line)}"
        if faults == _MAX_FAULTS:
            break
    return answers


def _take(line: bytes, asked: Collection[str], values: dict[str, Any]) -> str | None:
    """Note the answer of one line; say what is wrong with it, if anything."""
    try:
        answer = orjson.loads(line)
    except orjson.JSONDecodeError:
        return "is not JSON"
    if not isinstance(answer, dict) or "entity" not in answer:
        return 'is not a JSON object with an "entity"'
    entity = answer["entity"]
    if not isinstance(entity, str) or entity not in asked:
        return "is for an entity that it was not asked for"
    if entity in values:
        return "is a second answer for its entity"
    if "error" in answer:
        values[entity] = CommandError(str(answer["error"]))
    elif "value" in answer:
        values[entity] = answer["value"]
    else:
        return 'has neither a "value" nor an "error"'
    return None


def _is_plain(value: Any) -> bool:
    try:
        orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY)
    except TypeError:
        return False
    return True


def _show(line: bytes) -> str:
    text = line.decode(errors="replace")
    return repr(text) if len(text) <= _SHOWN else f"{text[:_SHOWN]!r}..."
