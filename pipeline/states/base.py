"""Registry: the entities of a state that are active now, with their features.

Nothing is read or written in one piece, so that a state may hold a million entities.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from pipeline.errors import CodecError, KeyFormatError, UnknownName, listed, near
from pipeline.flows.entity import check_entity_key
from pipeline.flows.exits import no_exit
from pipeline.flows.state import Entities, State
from pipeline.store import codec

Group = tuple[str, list[str], dict[str, dict[str, Any]]]  # partition, keys, features of those with any

SLICE = 1000  # entities that travel in one go
_NEAR = 2000  # entities among which a misspelt one is looked for


class Registry:
    """The entities of one state. Tasks get it as their parameter `state`, and threads may share it.

    Methods raise KeyFormatError, which names the entity, for a key that no pipe's key can hold, and for an
    entity that lacks the feature by which the state is partitioned.
    """

    def __init__(self, states: States, state: State) -> None:
        self._states = states
        self.state = state

    @property
    def name(self) -> str:
        """The state's name."""
        return self.state.name

    def add(self, key: str, /, **features: Any) -> None:
        """Add an entity or see it again; with features given they replace those that it has."""
        self.update({key: features})

    def update(self, entities: Entities) -> None:
        """Add many: entity -> features, or keys alone. One without features keeps those that it has."""
        given = _features_of(entities)
        bare = self.touch(*[key for key, features in given.items() if not features])
        put = [(key, dict(features)) for key, features in given.items() if features or key in bare]
        for blobs in [self._encode(dict(part)) for part in _slices(put)]:
            self._states._put(self.name, blobs)

    def touch(self, *keys: str) -> set[str]:
        """See entities again, so that they do not drop out; give those that the state does not hold."""
        if not keys:
            return set()
        for key in keys:
            check_entity_key(key)
        self._drop_old()
        unknown: set[str] = set()
        for part in _slices(keys):
            unknown |= self._states._touch(self.name, part)
        return unknown

    def remove(self, *keys: str) -> int:
        """Take entities out; give how many of them the state held."""
        return sum(self._states._remove(self.name, part) for part in _slices(keys))

    def clear(self) -> None:
        """Forget the state with all its entities."""
        self._states._clear(self.name)

    def fill(self) -> int:
        """Add what the state's source gives, if it has one; give how many entities that were."""
        if self.state.source is None:
            return 0
        try:
            with no_exit(f"the source of state {self.name!r}"):
                given = _features_of(self.state.source())
            self.update(given)
        except Exception as error:
            error.add_note(f"raised while the state {self.name!r} was filled from its source")
            raise
        return len(given)

    def features(self, key: str) -> dict[str, Any]:
        """Return the features of an entity. Raises UnknownName."""
        self._drop_old()
        blob = self._states._get(self.name, key)
        if blob is None:
            raise self._unknown(key)
        return dict(codec.decode(blob))

    def seen(self, key: str) -> datetime:
        """Return when an entity was last added or touched. Raises UnknownName."""
        self._drop_old()
        at = self._states._seen(self.name, key)
        if at is None:
            raise self._unknown(key)
        return datetime.fromtimestamp(at, UTC)

    def entities(self) -> list[str]:
        """List all keys, sorted."""
        return sorted(key for key, _ in self._scan())

    def partitions(self) -> dict[str, int]:
        """Return the number of entities of each partition, by name."""
        return {partition: len(keys) for partition, keys, _ in self.snapshot()}

    def snapshot(self) -> list[Group]:
        """Return all entities as (partition, keys, features of those keys that have any), all of it sorted."""
        groups: dict[str, dict[str, dict[str, Any]]] = {}
        for key, features in self._scan():
            groups.setdefault(self.state.partition_of(key, features), {})[key] = features
        found = []
        for partition, members in sorted(groups.items()):
            keys = sorted(members)
            found.append((partition, keys, {key: members[key] for key in keys if members[key]}))
        return found

    def __contains__(self, key: str) -> bool:
        self._drop_old()
        return self._states._get(self.name, key) is not None

    def __len__(self) -> int:
        self._drop_old()
        return self._states._count(self.name)

    def _scan(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Go through all entities, each once."""
        self._drop_old()
        given: set[str] = set()
        for page in self._states._pages(self.name):
            new = {key: blob for key, blob in page.items() if key not in given}
            given.update(new)
            yield from zip(new, codec.decode_many(list(new.values())), strict=True)

    def _drop_old(self) -> None:
        if self.state.ttl_seconds is not None:
            self._states._drop(self.name, self.state.ttl_seconds)

    def _encode(self, features: Mapping[str, Mapping[str, Any]]) -> dict[str, bytes]:
        for key, found in features.items():
            self.state.partition_of(key, found)
        encoded, errors = codec.encode_many(features)
        for key, error in errors.items():
            raise CodecError(f"features of entity {key!r} of state {self.name!r}: {error}")
        return dict(zip(encoded.entities, encoded.blobs, strict=True))

    def _unknown(self, key: str) -> UnknownName:
        names = [name for name, _ in islice(self._scan(), _NEAR)]
        return UnknownName(f"state {self.name!r} holds no entity {key!r}.{near(key, names)}")


class States(ABC):
    """All states of one place. Methods with an underscore do their part for one state and some entities."""

    def bind(self, state: State | str) -> Registry:
        """Return the registry of a state."""
        return Registry(self, State(state) if isinstance(state, str) else state)

    def check(self, name: str, declared: Iterable[str] = ()) -> str:
        """Return `name` back if a state of that name holds entities or is declared by a flow.

        Raises UnknownName.
        """
        known = {*self.names(), *declared}
        if name not in known:
            raise UnknownName(f"no state {name!r}.{near(name, known)} Known: {listed(known)}.")
        return name

    def keys(self, name: str) -> list[str]:
        """Return the keys of a state's entities, in no order. Raises UnknownName."""
        self.check(name)
        return self._keys(name)

    def features_of(self, name: str, keys: Sequence[str]) -> list[dict[str, Any]]:
        """Return the features of entities of a state; none for those that it does not hold."""
        return [dict(codec.decode(blob)) if blob else {} for blob in self._get_many(name, keys)]

    @abstractmethod
    def names(self) -> list[str]:
        """List the names of the states that ever held an entity and were not cleared, sorted."""

    @abstractmethod
    def _put(self, name: str, blobs: Mapping[str, bytes]) -> None: ...
    @abstractmethod
    def _touch(self, name: str, keys: Sequence[str]) -> set[str]: ...
    @abstractmethod
    def _remove(self, name: str, keys: Sequence[str]) -> int: ...
    @abstractmethod
    def _drop(self, name: str, ttl: float) -> None: ...
    @abstractmethod
    def _clear(self, name: str) -> None: ...
    @abstractmethod
    def _get(self, name: str, key: str) -> bytes | None: ...
    @abstractmethod
    def _keys(self, name: str) -> list[str]: ...
    @abstractmethod
    def _get_many(self, name: str, keys: Sequence[str]) -> list[bytes | None]: ...
    @abstractmethod
    def _seen(self, name: str, key: str) -> float | None: ...
    @abstractmethod
    def _count(self, name: str) -> int: ...
    @abstractmethod
    def _pages(self, name: str) -> Iterator[Mapping[str, bytes]]: ...


def _features_of(entities: Entities) -> dict[str, Mapping[str, Any]]:
    """Take entity -> features, or keys alone, and check both."""
    if isinstance(entities, str):
        raise KeyFormatError(f"{entities!r} is one text. Give a list of entities: [{entities!r}].")
    given = entities if isinstance(entities, Mapping) else {key: {} for key in entities}
    for key, features in given.items():
        check_entity_key(key)
        if not isinstance(features, Mapping):
            raise KeyFormatError(
                f"the features of entity {key!r} are of type {type(features).__name__}. Give a dictionary by name."
            )
    return dict(given)


def _slices(items: Sequence[Any]) -> Iterator[Sequence[Any]]:
    return (items[start : start + SLICE] for start in range(0, len(items), SLICE))
