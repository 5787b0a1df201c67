"""Run a program: feed it, read what it writes, and leave nothing of it behind."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

MAX_OUTPUT = 64 * 2**20  # bytes on stdout
TAIL = 1000  # bytes of stderr that are kept
_SLICE = 2**16  # bytes that are read or written at once
_LOOK = 0.2  # seconds between two looks at whether the program ended while others still hold its pipes


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

    It gets a process group of its own. The group is killed when the time is over, when more than `max_output`
    bytes came, and when this call is left by an exception. Raises OSError when the program cannot be started.
    """
    process = subprocess.Popen(
        argv,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
        cwd=cwd,
        env=env,
        start_new_session=True,
    )
    try:
        pump = _Pump(process, data, time.monotonic() + limit, max_output)
        with closing(pump):
            end = pump.run()
            if end != "itself":
                _kill(process)
                pump.drain()
            return Ran(bytes(pump.output), _text(pump.errors), end, process.wait())
    finally:
        _kill(process)


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kill the group, unless the program was waited for: its number may be another's by then."""
    if process.returncode is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _text(errors: bytearray) -> str:
    cut = len(errors) > TAIL
    text = errors[-TAIL:].decode(errors="replace").strip()
    return f"...{text}" if cut else text


class _Pump:
    """Moves bytes between us and a program, without ever waiting on one pipe alone."""

    def __init__(
        self, process: subprocess.Popen[bytes], data: bytes, deadline: float, max_output: int
    ) -> None:
        assert process.stdin
        assert process.stdout
        assert process.stderr
        self.process, self.deadline, self.max_output = process, deadline, max_output
        self.stdin, self.stdout, self.stderr = process.stdin, process.stdout, process.stderr
        self.data = memoryview(data)
        self.output, self.errors = bytearray(), bytearray()
        for pipe in (self.stdin, self.stdout, self.stderr):
            os.set_blocking(pipe.fileno(), False)
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.stdin, selectors.EVENT_WRITE, self._write)
        self.selector.register(self.stdout, selectors.EVENT_READ, self._read)
        self.selector.register(self.stderr, selectors.EVENT_READ, self._read)

    def run(self) -> Literal["itself", "time", "size"]:
        """Move bytes until the program has ended or must be ended; say which."""
        while self._open():
            left = self.deadline - time.monotonic()
            if left <= 0:
                return "time"
            ready = self.selector.select(min(left, _LOOK))
            for key, _ in ready:
                key.data(key.fileobj)
            if len(self.output) > self.max_output:
                return "size"
            if not ready and _ended(self.process):
                # What it left behind holds its pipes. Its own number is still ours: it was not waited for.
                os.killpg(self.process.pid, signal.SIGKILL)
                break
        try:
            self.process.wait(max(self.deadline - time.monotonic(), 0))
        except subprocess.TimeoutExpired:
            return "time"
        return "itself"

    def drain(self) -> None:
        """Take what is in the pipes still."""
        for pipe in (self.stdout, self.stderr):
            while pipe in self.selector.get_map() and len(self.output) <= self.max_output:
                if not self._read(pipe):
                    break

    def close(self) -> None:
        """Close the pipes."""
        self.selector.close()
        for pipe in (self.stdin, self.stdout, self.stderr):
            pipe.close()

    def _open(self) -> bool:
        return self.stdout in self.selector.get_map() or self.stderr in self.selector.get_map()

    def _write(self, pipe: object) -> None:
        try:
            sent = os.write(self.stdin.fileno(), self.data[:_SLICE])
            self.data = self.data[sent:]
        except BrokenPipeError:  # it reads no more; what it answers tells whether that was right
            self.data = self.data[:0]
        if not self.data:
            self.selector.unregister(self.stdin)
            self.stdin.close()

    def _read(self, pipe: object) -> bool:
        """Read a slice; False when there is nothing to read now, or ever."""
        source = self.stdout if pipe is self.stdout else self.stderr
        try:
            piece = os.read(source.fileno(), _SLICE)
        except BlockingIOError:
            return False
        if not piece:
            self.selector.unregister(source)
        elif source is self.stdout:
            self.output += piece
        else:
            self.errors = (self.errors + piece)[-TAIL - 1 :]
        return bool(piece)


def _ended(process: subprocess.Popen[bytes]) -> bool:
    """Tell whether it ended, and leave it to be waited for. Where the system cannot, its pipes must tell."""
    if not hasattr(os, "waitid"):
        return False
    return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
