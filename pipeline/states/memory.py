"""MemoryStates: states in this process, for tests."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from threading import RLock

from pipeline.states.base import States


class MemoryStates(States):
    """States in this process, for tests. `clock` gives seconds."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._lock = RLock()
        self._held: dict[str, dict[str, tuple[bytes, float]]] = {}  # state -> entity -> features, last seen
        self._left_out: dict[str, bytes] = {}

    def names(self) -> list[str]:
        """List the names of the states that ever held an entity and were not cleared, sorted."""
        return sorted(self._held)

    def _put(self, name: str, blobs: Mapping[str, bytes]) -> None:
        with self._lock:
            now = self._clock()
            self._held.setdefault(name, {}).update({key: (blob, now) for key, blob in blobs.items()})

    def _touch(self, name: str, keys: Sequence[str]) -> set[str]:
        with self._lock:
            held = self._held.get(name, {})
            held.update({key: (held[key][0], self._clock()) for key in keys if key in held})
            return {key for key in keys if key not in held}

    def _remove(self, name: str, keys: Sequence[str]) -> int:
        with self._lock:
            return sum(self._held.get(name, {}).pop(key, None) is not None for key in keys)

    def _drop(self, name: str, ttl: float) -> None:
        with self._lock:
            held, before = self._held.get(name, {}), self._clock() - ttl
            self._remove(name, [key for key, (_, seen) in held.items() if seen <= before])

    def _clear(self, name: str) -> None:
        self._held.pop(name, None)
        self._left_out.pop(name, None)

    def _get(self, name: str, key: str) -> bytes | None:
        return self._held.get(name, {}).get(key, (None, 0.0))[0]

    def _keys(self, name: str) -> list[str]:
        return list(self._held.get(name, {}))

    def _get_many(self, name: str, keys: Sequence[str]) -> list[bytes | None]:
        return [self._get(name, key) for key in keys]

    def _seen(self, name: str, key: str) -> float | None:
        return self._held.get(name, {}).get(key, (b"", None))[1]

    def _count(self, name: str) -> int:
        return len(self._held.get(name, {}))

    def _pages(self, name: str) -> Iterator[Mapping[str, bytes]]:
        with self._lock:
            page = {key: blob for key, (blob, _) in self._held.get(name, {}).items()}
        yield page

    def _leave(self, name: str, left: bytes | None) -> None:
        self._left_out |= {name: left} if left else {}
        if not left:
            self._left_out.pop(name, None)

    def _left(self, name: str) -> bytes | None:
        return self._left_out.get(name)
