"""Sift entities that come from outside: those that a state can hold, and which are left out, and why. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pipeline.errors import CodecError, KeyFormatError
from pipeline.flows.entity import check_entity_key
from pipeline.flows.left_out import LeftOut
from pipeline.flows.state import Entities, State
from pipeline.store import codec


def sift(entities: Entities, left: LeftOut) -> Iterator[tuple[str, dict[str, Any]]]:
    """Go through entity -> features, or keys alone, without those of which either is not as it has to be."""
    if isinstance(entities, str):
        raise KeyFormatError(f"{entities!r} is one text. Give a list of entities: [{entities!r}].")
    for key in entities:
        try:
            yield check_entity_key(key), _features(key, entities)
        except Exception as error:  # of any kind: keys and features may be anything
            left.add(key, error)


def _features(key: str, entities: Entities) -> dict[str, Any]:
    features = entities[key] if isinstance(entities, Mapping) else {}
    if not isinstance(features, Mapping):
        raise KeyFormatError(
            f"the features of entity {key!r} are of type {type(features).__name__}. Give a dictionary by name."
        )
    return dict(features)


def encode(state: State, entities: Mapping[str, Mapping[str, Any]], left: LeftOut) -> dict[str, bytes]:
    """Encode the features of those entities that lie in a partition and whose features can be kept."""
    good = {}
    for key, features in entities.items():
        try:
            state.partition_of(key, features)
            good[key] = features
        except Exception as error:  # a feature may be anything
            left.add(key, error)
    encoded, errors = codec.encode_many(good)
    for key, refused in errors.items():
        left.add(key, CodecError(f"features of entity {key!r} of state {state.name!r}: {refused}"))
    return dict(zip(encoded.entities, encoded.blobs, strict=True))


def decode(blobs: Mapping[str, bytes], left: LeftOut) -> Iterator[tuple[str, dict[str, Any]]]:
    """Go through stored entities and their features, without those that cannot be read."""
    try:
        values: Sequence[Any] = codec.decode_many(list(blobs.values()))
    except Exception:  # whose of them, is found out below
        values = [None] * len(blobs)
    for (key, blob), value in zip(blobs.items(), values, strict=True):
        try:
            found = codec.decode(blob) if value is None else value
            if not isinstance(found, dict):
                raise CodecError(f"stored bytes {blob[:40]!r} are not features by name.")
            yield check_entity_key(key), found
        except Exception as error:  # whatever reads Arrow may raise
            left.add(key, error)
