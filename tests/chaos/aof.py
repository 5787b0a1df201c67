"""What was ever written to pipes, as Redis' append-only file tells: it holds each command that changed something."""

from __future__ import annotations

import mmap
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

WRITES = {b"SET", b"DEL", b"UNLINK", b"GETSET", b"APPEND", b"SETRANGE", b"RENAME"}


FLUSHES = {b"FLUSHDB", b"FLUSHALL"}


def written(folder: Path, prefix: bytes) -> Counter[tuple[int, bytes]]:
    """Count for each key with that prefix how often it was written, or taken away, after so many flushes."""
    found: Counter[tuple[int, bytes]] = Counter()
    flushes = 0
    for path in sorted(folder.rglob("*.aof")):
        for command in commands(path):
            name = command[0].upper()
            flushes += name in FLUSHES
            if len(command) > 1 and command[1].startswith(prefix) and name in WRITES:
                found[flushes, command[1]] += 1
    return found


def commands(path: Path) -> Iterator[list[bytes]]:
    """Give the commands of a file; what a crash cut off at its end is left out."""
    if not path.stat().st_size:
        return
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        at = 0
        while (start := data.find(b"*", at, at + 1)) == at:
            end = data.find(b"\r\n", start)
            if end < 0:
                return
            words, at = [], end + 2
            for _ in range(int(data[start + 1 : end])):
                end = data.find(b"\r\n", at)
                if end < 0:
                    return
                size = int(data[at + 1 : end])
                words.append(data[end + 2 : end + 2 + size])
                at = end + 4 + size
            if at > len(data):
                return
            yield words
