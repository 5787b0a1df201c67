"""MemoryStore: a pipe store in this process, for tests. It holds the bytes that Redis would hold."""

from __future__ import annotations

from collections.abc import Sequence
from threading import RLock
from typing import Any

from pipeline.store import series
from pipeline.store.base import Store


class MemoryStore(Store):
    """Keeps pipes in a dictionary. Threads may share it.

    Args:
        **options: Those of Store.

    Example:
        >>> store = MemoryStore()
        >>> store.put("main", "delay", "2013-06-25T13", {"JFK-LAX": 12.5}, ttl=86400)
        set()
        >>> store.get("main", "delay", "2013-06-25T13", ["JFK-LAX", "JFK-BOS"])
        {'JFK-LAX': 12.5}
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._lock = RLock()
        self._keys: dict[str, tuple[bytes, int]] = {}  # key -> bytes, when it goes

    def raw(self, key: str) -> bytes | None:
        """Return the bytes under a key, a pipe's or a series', None when there is none."""
        with self._lock:
            blob, expires = self._keys.get(key, (None, 0))
            if blob is not None and expires <= self.clock():
                del self._keys[key]
                return None
            return blob

    def ttl(self, key: str) -> float | None:
        """Return the seconds that a key has to live, None when there is none."""
        return None if self.raw(key) is None else self._keys[key][1] - self.clock()

    def _add(self, keys: Sequence[str], blobs: Sequence[bytes], expires: int) -> list[bool]:
        added = []
        with self._lock:
            for key, blob in zip(keys, blobs, strict=True):
                added.append(self.raw(key) is None)
                if added[-1]:
                    self._keys[key] = (blob, expires)
        return added

    def _read(self, keys: Sequence[str]) -> list[bytes | None]:
        return [self.raw(key) for key in keys]

    def _write_slots(self, keys: Sequence[str], offset: int, slots: Sequence[bytes], expires: int) -> None:
        with self._lock:
            for key, slot in zip(keys, slots, strict=True):
                held = bytearray((self.raw(key) or b"").ljust(offset, b"\0"))
                held[offset : offset + len(slot)] = slot
                _, before = self._keys.get(key, (b"", 0))
                self._keys[key] = (bytes(held), max(expires, before))

    def _read_slots(
        self, prefix: str, entities: Sequence[str], spans: Sequence[series.Span], rows: series.Bits
    ) -> None:
        tails = [span.tail for span in spans]
        for row, entity in zip(rows, entities, strict=True):
            start = 0
            for span, tail in zip(spans, tails, strict=True):
                held = self.raw(f"{prefix}{entity}{tail}") or b""
                slots = held[span.offset : span.offset + span.size].ljust(span.size, b"\0")
                series.unpack(slots, row[start : start + span.hours])
                start += span.hours
