"""Entity: what a flow is run for, and the rules for its key. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from pipeline.errors import KeyFormatError

MAX_KEY_BYTES = 200
_NOTHING: Mapping[str, Any] = MappingProxyType({})


class Entity(str):
    """An entity's key, a plain text, that also knows the entity's features and partition.

    Args:
        key: Its unique name.
        features: As the state held them when the wave was submitted.
        partition: The one that it lies in, `partition_name` as an attribute; None for `@all`.

    Example:
        >>> entity = Entity("JFK-LAX", {"origin": "JFK"}, "JFK")
        >>> entity.lower(), entity.features["origin"], entity.partition_name
        ('jfk-lax', 'JFK', 'JFK')
    """

    __slots__ = ("features", "partition_name")

    features: Mapping[str, Any]  # as the state held them when the wave was submitted
    partition_name: str | None  # of the partition that it lies in; None for `@all` (str has a `partition`)

    def __new__(
        cls, key: str, features: Mapping[str, Any] = _NOTHING, partition: str | None = None
    ) -> Entity:
        """Build the key, with what is known of the entity."""
        self = super().__new__(cls, key)
        self.features = features
        self.partition_name = partition
        return self


def check_entity_key(key: str, scope: bool = False) -> str:
    """Return `key` back if it can be an entity's key, or, with `scope`, also that of a scope such as "@all".

    Raises KeyFormatError for a key that is not a text, empty, too long, holds white space or control characters, or
    begins with "@".
    """
    if not isinstance(key, str):
        raise KeyFormatError(f"entity key {key!r} has the type {type(key).__name__}. Give a text.")
    if not key:
        raise KeyFormatError("an entity key is empty. Give it at least one character.")
    if " " in key or not key.isprintable():  # other white space does not print either
        raise KeyFormatError(
            f"entity key {key!r} has a space or a control character, which separate the parts of a pipe's key. "
            "Replace it, for instance by '-' or '_'."
        )
    if key.startswith("@") and not scope:
        raise KeyFormatError(
            f"entity key {key!r} begins with '@', which is kept for partitions and waves. Drop it."
        )
    if len(key.encode("utf-8", "surrogatepass")) > MAX_KEY_BYTES:
        raise KeyFormatError(f"entity key {key[:40]!r}... is longer than {MAX_KEY_BYTES} bytes. Shorten it.")
    return key
