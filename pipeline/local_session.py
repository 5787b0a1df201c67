"""What `wave up` brought, a private Redis and its flows, is found by all that runs in the same folder, untold. Pure."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

FILE = ".wave-up"


@contextmanager
def announced(url: str, flows: Sequence[str] = (), folder: Path | None = None) -> Iterator[bool]:
    """Leave the address and the flows' places in a file of the folder that only this user can read, for the block.

    Returns False, and leaves nothing, where the folder cannot be written, or another process that lives has its file.
    """
    path = (folder or Path.cwd()) / FILE
    if _read(folder):
        yield False
        return
    try:
        with suppress(FileNotFoundError):
            path.unlink()
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError:
        yield False
        return
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write("\n".join([f"{os.getpid()} {url}", *flows, ""]))
        yield True
    finally:
        with suppress(OSError):
            if path.read_text().startswith(f"{os.getpid()} "):
                path.unlink()


def nearby(folder: Path | None = None) -> str | None:
    """Return the address that a `wave up` of this user left in the folder, if it still runs; else None."""
    lines = _read(folder)
    return lines[0].split()[1] if lines else None


def nearby_flows(folder: Path | None = None) -> tuple[str, ...]:
    """Return the modules and files whose flows that `wave up` runs."""
    return tuple(_read(folder)[1:])


def _read(folder: Path | None) -> list[str]:
    """Return the lines that a process which lives has left; none else."""
    path = (folder or Path.cwd()) / FILE
    try:
        if path.stat().st_uid != os.getuid():
            return []
        lines = path.read_text().splitlines()
        pid, _ = lines[0].split()
        os.kill(int(pid), 0)
    except (OSError, ValueError, IndexError):
        return []
    return lines
