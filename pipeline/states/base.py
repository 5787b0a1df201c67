"""Registry: the entities of a state that are active now, with their features.

Nothing is read or written in one piece, so that a state may hold a million entities.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import orjson

from pipeline.errors import PipelineError, UnknownName, listed, near
from pipeline.flows.exits import no_exit
from pipeline.flows.left_out import LeftOut, said
from pipeline.flows.state import Entities, State
from pipeline.states.sifting import decode, encode, sift
from pipeline.store import codec

Group = tuple[str, list[str], dict[str, dict[str, Any]]]  # partition, keys, features of those with any

SLICE = 1000  # entities that travel in one go
_NEAR = 2000  # entities among which a misspelt one is looked for


class Registry:
    """The entities of one state. Tasks get it as their parameter `state`, and threads may share it.

    An entity with a key that no pipe's key can hold, with features that cannot be kept, or without the feature by
    which the state is partitioned is left out, and the others are not: `left_out` names it. Where none is left,
    what is wrong with the first is raised: KeyFormatError or CodecError.
    """

    def __init__(self, states: States, state: State, left_out: LeftOut | None = None) -> None:
        self._states = states
        self.state = state
        self.left_out = LeftOut() if left_out is None else left_out

    @property
    def name(self) -> str:
        """The state's name."""
        return self.state.name

    def add(self, key: str, /, **features: Any) -> None:
        """Add an entity or see it again; with features given they replace those that it has."""
        self.update({key: features})

    def update(self, entities: Entities) -> None:
        """Add many: entity -> features, or keys alone. One without features keeps those that it has."""
        left = LeftOut()
        self._add(dict(sift(entities, left)), left)

    def _add(self, given: Mapping[str, Mapping[str, Any]], left: LeftOut) -> int:
        """Add those that can be; returns how many these were. Raises the first error where there are none."""
        bare = self.touch(*[key for key, features in given.items() if not features])
        put = [(key, features) for key, features in given.items() if features or key in bare]
        parts = [encode(self.state, dict(part), left) for part in _slices(put)]
        for blobs in filter(None, parts):
            self._states._put(self.name, blobs)
        added = len(given) - len(put) + sum(map(len, parts))
        self._leave(left, added)
        return added

    def _leave(self, left: LeftOut, others: int) -> None:
        if left.error is not None and not others:
            raise left.error
        self.left_out.take(left)

    def touch(self, *keys: str) -> set[str]:
        """See entities again, so that they do not drop out; return those that the state does not hold."""
        if not keys:
            return set()
        left = LeftOut()
        given = [key for key, _ in sift(keys, left)]
        self._leave(left, len(given))
        self._drop_old()
        unknown: set[str] = set()
        for part in _slices(given):
            unknown |= self._states._touch(self.name, part)
        return unknown

    def remove(self, *keys: str) -> int:
        """Take entities out; return how many of them the state held."""
        return sum(self._states._remove(self.name, part) for part in _slices(keys))

    def clear(self) -> None:
        """Forget the state with all its entities."""
        self._states._clear(self.name)

    def fill(self) -> int:
        """Add what the state's source returns, if it has one; return how many entities that were.

        What it gave before it raised is added too, and then the error is raised.
        """
        if self.state.source is None:
            return 0
        given: dict[str, dict[str, Any]] = {}
        left, failed = LeftOut(), None
        try:
            with no_exit(f"the source of state {self.name!r}"):
                for key, features in sift(self.state.source(), left):
                    given[key] = features
        except Exception as error:
            error.add_note(f"raised while the state {self.name!r} was filled from its source")
            left.add("(the rest of its source)", said(error))
            left.error = failed = error
        try:
            added = self._add(given, left)
        except Exception:  # nobody was added: who is left out is named all the same
            self.left_out.take(left)
            raise
        finally:
            self._states._leave(self.name, _dump(left))
        if failed is not None:
            raise failed
        return added

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
            try:
                groups.setdefault(self.state.partition_of(key, features), {})[key] = features
            except PipelineError as error:
                self.left_out.add(key, error)
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
            yield from decode(new, self.left_out)

    def _drop_old(self) -> None:
        if self.state.ttl_seconds is not None:
            self._states._drop(self.name, self.state.ttl_seconds)

    def _unknown(self, key: str) -> UnknownName:
        names = [name for name, _ in islice(self._scan(), _NEAR)]
        return UnknownName(f"state {self.name!r} holds no entity {key!r}.{near(key, names)}")


class States(ABC):
    """All states of one place. Methods with an underscore do their part for one state and some entities."""

    def bind(self, state: State | str, left_out: LeftOut | None = None) -> Registry:
        """Return the registry of a state, which names in `left_out` the entities that it leaves out."""
        return Registry(self, State(state) if isinstance(state, str) else state, left_out)

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
        return [key for key, _ in sift(self._keys(name), LeftOut())]

    def features_of(self, name: str, keys: Sequence[str]) -> list[dict[str, Any]]:
        """Return the features of entities of a state; none for those that it does not hold, or cannot read."""
        blobs = zip(keys, self._get_many(name, keys), strict=True)
        found = dict(decode({key: blob for key, blob in blobs if blob}, LeftOut()))
        return [found.get(key, {}) for key in keys]

    def left_out(self, name: str) -> LeftOut:
        """Return what a state's source gave the last time that could not be added."""
        return _load(self._left(name))

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
    @abstractmethod
    def _leave(self, name: str, left: bytes | None) -> None: ...
    @abstractmethod
    def _left(self, name: str) -> bytes | None: ...


def _dump(left: LeftOut) -> bytes | None:
    return orjson.dumps({"count": left.count, "reasons": left.reasons}) if left else None


def _load(data: bytes | None) -> LeftOut:
    found = orjson.loads(data) if data else {}
    return LeftOut(found.get("reasons"), found.get("count", 0))


def _slices(items: Sequence[Any]) -> Iterator[Sequence[Any]]:
    return (items[start : start + SLICE] for start in range(0, len(items), SLICE))
