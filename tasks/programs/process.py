"""Run a program: feed it, read what it writes, and leave nothing of it behind."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Literal

MAX_OUTPUT = 64 * 2**20  # bytes on stdout, and on stderr
TAIL = 1000  # bytes of stderr that are kept
LOOK = 0.02  # seconds between two looks at most


@dataclass(frozen=True, slots=True)
class Ran:
    """What came of running a program."""

    output: bytes  # all that it wrote on stdout until its end
    errors: str  # the last of what it wrote on stderr
    end: Literal["itself", "time", "size"]  # it ended itself, or was killed for its time or its output
    code: int  # exit code; minus the signal's number when a signal ended it


def run(
    argv: Sequence[str],
    data: bytes,
    limit: float,
    *,
    cwd: str | Path | None = None,
    env: Mapping[str, str] | None = None,
    max_output: int = MAX_OUTPUT,
) -> Ran:
    """Run a program with `data` on its stdin, for at most `limit` seconds.

    It reads and writes files, so that nobody waits for a full pipe. It gets a process group of its own, which is killed
    when it has ended, when the time is over, when more than `max_output` bytes came, and when this call is left by an
    exception. Raises OSError when the program cannot be started.
    """
    until = time.monotonic() + limit
    with TemporaryFile() as stdin, TemporaryFile() as stdout, TemporaryFile() as stderr:
        stdin.write(data)
        stdin.seek(0)
        process = subprocess.Popen(
            argv, stdin=stdin, stdout=stdout, stderr=stderr, cwd=cwd, env=env, start_new_session=True
        )
        try:
            end, pause = None, 0.001
            while end is None:
                time.sleep(pause)
                end = _end(process, until, max(_size(stdout), _size(stderr)) > max_output)
                pause = min(2 * pause, LOOK)
        finally:
            _kill(process)
        return Ran(os.pread(stdout.fileno(), max_output, 0), _text(stderr), end, process.returncode)


def _end(
    process: subprocess.Popen[bytes], until: float, full: bool
) -> Literal["itself", "time", "size"] | None:
    if full:
        return "size"
    if _ended(process):
        return "itself"
    return "time" if time.monotonic() > until else None


def _ended(process: subprocess.Popen[bytes]) -> bool:
    """Return whether it ended, and leave it to be waited for where the system can: until then its group is its own."""
    if not hasattr(os, "waitid"):
        return process.poll() is not None
    return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kill the group, unless the program was waited for: its number may be another's by then."""
    if process.returncode is None:
        with suppress(PermissionError):  # macOS: all of the group have ended
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _size(file: IO[bytes]) -> int:
    return os.fstat(file.fileno()).st_size


def _text(file: IO[bytes]) -> str:
    cut = max(_size(file) - TAIL, 0)
    text = os.pread(file.fileno(), TAIL, cut).decode(errors="replace").strip()
    return f"...{text}" if cut else text
