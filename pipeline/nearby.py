"""A private Redis that `wave up` brought is found by all that runs in the same folder, without being told. Pure."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

FILE = ".wave-up"


@contextmanager
def announced(url: str, folder: Path | None = None) -> Iterator[bool]:
    """Leave the address in a file of the folder that only this user can read, for as long as the block lasts.

    Gives False, and leaves nothing, where the folder cannot be written.
    """
    path = (folder or Path.cwd()) / FILE
    try:
        with suppress(FileNotFoundError):
            path.unlink()
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError:
        yield False
        return
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(f"{os.getpid()} {url}\n")
        yield True
    finally:
        with suppress(OSError):
            if path.read_text().startswith(f"{os.getpid()} "):
                path.unlink()


def nearby(folder: Path | None = None) -> str | None:
    """Give the address that a `wave up` of this user left in the folder, if it still runs; else None."""
    path = (folder or Path.cwd()) / FILE
    try:
        if path.stat().st_uid != os.getuid():
            return None
        pid, url = path.read_text().split()
        os.kill(int(pid), 0)
    except (OSError, ValueError):
        return None
    return url
