"""Values <-> bytes.

    a plain value            JSON as it is, so that redis-cli shows it
    bytes                    \\x01 and then the bytes
    a DataFrame or Series    \\x02 and then an Arrow IPC stream (extra [arrow]; see pipeline.store.frames)

JSON text begins with neither byte. Plain are None, booleans, numbers, texts, lists, and dictionaries with
texts as keys. What would not come back as it went in is refused, with two exceptions: a tuple comes back as a
list, and numpy's scalars, like other subclasses of plain types, come back plain.

Values are encoded and decoded by the hundred in one call of orjson, which costs a tenth of a call for each.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from datetime import date, time, timedelta
from typing import Any

import numpy as np
import orjson

from pipeline.errors import CodecError
from pipeline.store import frames

MAX_BYTES = 1_000_000
RAW, ARROW = b"\x01", b"\x02"

_OPTIONS = orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME
_MARK = "\x1e"  # stands between two values that are encoded in one call
_CUT = b',"\\u001e",'
_NUMBERS = frozenset((int, float))
_FORMS = (
    "A pipe holds numbers, texts, booleans, None, lists, dictionaries with texts as keys, bytes, "
    "or a pandas DataFrame or Series."
)


@dataclasses.dataclass(frozen=True, slots=True)
class Encoded:
    """One pipe's values for some entities, as the store writes them. Those that are numbers come first."""

    entities: Sequence[str]
    blobs: Sequence[bytes]  # in the order of the entities
    numbers: Sequence[float]  # the values of the first entities

    def __len__(self) -> int:
        return len(self.entities)


def is_numeric(value: Any) -> bool:
    """Return whether a value is a number (Python's or numpy's, no boolean) and so has a slot in a series."""
    return _numeric_kind(type(value))


def _numeric_kind(kind: type) -> bool:
    return issubclass(kind, (int, float, np.integer, np.floating)) and not issubclass(kind, bool)


def encode(value: Any, limit: int = MAX_BYTES) -> bytes:
    """Turn one value into bytes, at most `limit` of them.

    Raises CodecError, which says what the value is and what to return instead.
    """
    if isinstance(value, bytes):
        blob = RAW + value
    elif frames.is_frame(value):
        blob = ARROW + frames.dump(value)
    else:
        try:
            _check(value, "the value")
        except RecursionError:
            raise CodecError("the value is nested too deep, or holds itself. Flatten it.") from None
        blob = _dump(value)
    if len(blob) > limit:
        raise CodecError(
            f"the value takes {len(blob):,} bytes and {limit:,} are allowed. Keep large things in a file and "
            "return where it is, or raise PIPELINE_MAX_VALUE."
        )
    return blob


def decode(blob: bytes) -> Any:
    """Turn bytes back into the value. Raises CodecError when no codec wrote them."""
    head = blob[:1]
    if head == RAW:
        return blob[1:]
    if head == ARROW:
        return frames.load(blob[1:])
    try:
        return orjson.loads(blob)
    except orjson.JSONDecodeError as error:
        raise CodecError(f"stored bytes {blob[:40]!r} are not the value of a pipe: {error}") from None


def number_in(blob: bytes) -> float | None:
    """Return the number that some stored bytes are, None where they are something else, readable or not."""
    try:
        value = orjson.loads(blob) if blob[:1].isdigit() or blob[:1] == b"-" else None
    except orjson.JSONDecodeError:
        return None
    return value if is_numeric(value) else None


def encode_many(values: Mapping[str, Any], limit: int = MAX_BYTES) -> tuple[Encoded, dict[str, CodecError]]:
    """Encode the values of many entities; return those that could be, and an error for each of the others."""
    blobs = _dump_many(list(values.values()))
    if blobs is None or max(map(len, blobs), default=0) > limit:
        return _encode_each(values, limit)
    return _numbers_first(values, blobs), {}


def decode_many(blobs: Sequence[bytes]) -> list[Any]:
    """Decode many values, in their order. Raises CodecError."""
    text = b",".join(blobs)
    if RAW not in text and ARROW not in text:  # as bytes, JSON escapes them
        try:
            values: list[Any] = orjson.loads(b"[%b]" % text)
        except orjson.JSONDecodeError:
            values = []
        if len(values) == len(blobs):
            return values
    return [decode(blob) for blob in blobs]


def _encode_each(values: Mapping[str, Any], limit: int) -> tuple[Encoded, dict[str, CodecError]]:
    """Encode one by one, to find out which cannot be."""
    good: dict[str, Any] = {}
    blobs: list[bytes] = []
    errors: dict[str, CodecError] = {}
    for entity, value in values.items():
        try:
            blobs.append(encode(value, limit))
            good[entity] = value
        except CodecError as error:
            errors[entity] = error
    return _numbers_first(good, blobs), errors


def _numbers_first(values: Mapping[str, Any], blobs: list[bytes]) -> Encoded:
    kinds = set(map(type, values.values()))
    if kinds <= _NUMBERS:
        return Encoded(list(values), blobs, list(values.values()))
    if not any(map(_numeric_kind, kinds)):
        return Encoded(list(values), blobs, [])
    rows = list(zip(values, blobs, map(is_numeric, values.values()), strict=True))
    rows.sort(key=lambda row: not row[2])
    numbers = [values[entity] for entity, _, numeric in rows if numeric]
    return Encoded([row[0] for row in rows], [row[1] for row in rows], numbers)


def _dump_many(values: list[Any]) -> list[bytes] | None:
    """Write plain values as JSON in one call; None when one of them wants a closer look.

    Reading back finds whatever would come back as something else: nan and inf (as null), an enum, a UUID.
    """
    if not values:
        return []
    if set(map(type, values)) == {np.float64}:
        values = np.array(values).tolist()
    marked: list[Any] = [_MARK] * (2 * len(values) - 1)
    marked[::2] = values
    try:
        text = orjson.dumps(marked, _plain_number, _OPTIONS)
        if orjson.loads(text)[::2] != values:
            return None
    except (TypeError, ValueError):
        return None
    blobs = text[1:-1].split(_CUT)
    return blobs if len(blobs) == len(values) else None  # a value that holds the mark itself makes more


def _dump(value: Any) -> bytes:
    """Write one value that was checked."""
    try:
        # Texts of a class of their own, such as Entity, are not keys to orjson without this option.
        text = orjson.dumps(value, _plain_number, _OPTIONS | orjson.OPT_NON_STR_KEYS)
    except TypeError as error:
        raise CodecError(f"the value cannot be written as JSON: {error}. {_FORMS}") from None
    return bytes(memoryview(text))  # a copy: what orjson gives keeps some KB of room for as long as it lives


def _plain_number(value: Any) -> Any:
    """Turn a numpy scalar into a Python number; orjson asks for whatever is not plain."""
    if _is_numpy_number(value):
        return value.item()
    raise TypeError(f"{type(value).__name__} is not plain")


def _is_numpy_number(value: Any) -> bool:
    return isinstance(value, np.generic) and value.dtype.kind in "biuf" and value.dtype.itemsize <= 8


def _check(value: Any, at: str) -> None:
    """Look into a value for what JSON would change or refuse. Raises CodecError, which says where it is."""
    if _is_numpy_number(value):
        value = value.item()
    if value is None or isinstance(value, str | bool):
        return
    if isinstance(value, float):
        if not math.isfinite(value):
            raise CodecError(
                f"{at} is {value!r}, which JSON has no form for. Return None where there is no value."
            )
    elif isinstance(value, int):
        if not -(2**63) <= value < 2**64:
            raise CodecError(
                f"{at} is an integer of more than 64 bits ({value}). Return it as a float or as text."
            )
    elif isinstance(value, dict):
        _check_dict(value, at)
    elif isinstance(value, list) or type(value) is tuple:
        for index, item in enumerate(value):
            _check(item, f"{at}[{index}]")
    else:
        raise CodecError(
            f"{at} is of type {type(value).__name__}, which would not come back as it is. {_instead(value)}"
        )


def _check_dict(value: dict[Any, Any], at: str) -> None:
    for key, item in value.items():
        if not isinstance(key, str):
            raise CodecError(f"{at} has the key {key!r}, which would come back as text. Use str({key!r}).")
        _check(item, f"{at}[{key!r}]")


def _instead(value: Any) -> str:
    """Return what to return instead of a value that is refused."""
    if isinstance(value, date | time):
        return "Return its text: .isoformat()."
    if isinstance(value, timedelta):
        return "Return its seconds: .total_seconds()."
    if isinstance(value, np.ndarray):
        return "Return .tolist() of it, or a pandas Series or DataFrame."
    if isinstance(value, set | frozenset):
        return "Return sorted(...) of it."
    if dataclasses.is_dataclass(value):
        return "Return dataclasses.asdict(...) of it."
    if isinstance(value, bytes) or frames.is_frame(value):
        return "It can be a pipe's whole value, not a part of one."
    return _FORMS
