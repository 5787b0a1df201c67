"""A command in a terminal of its own, as a person sees it."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import sys
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

_CONTROL = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


@dataclass
class Terminal:
    """What stands on the other side of a command's terminal."""

    pid: int
    screen: int  # file descriptor
    said: bytes = b""
    code: int | None = field(default=None)

    @property
    def text(self) -> str:
        """All that was written so far, without colours and movements."""
        return _CONTROL.sub("", self.said.decode(errors="replace"))

    def until(self, seen: Callable[[str], object], limit: float = 30.0) -> str:
        """Read until the text is as it should be. Fails when it is not in time."""
        end = time.monotonic() + limit
        while not seen(self.text):
            assert time.monotonic() < end, self.text[-2000:]
            if not self._read() and not seen(self.text):
                raise AssertionError(f"it has ended: {self.text[-2000:]}")
        return self.text

    def rest(self) -> str:
        """Read to its end; then `code` is its exit code."""
        while self._read():
            pass
        _, status = os.waitpid(self.pid, 0)
        self.code = os.waitstatus_to_exitcode(status)
        return self.text

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        os.kill(self.pid, signal.SIGINT)

    def _read(self) -> bool:
        """Read what is there, waiting a little; False once nothing will come."""
        if not select.select([self.screen], [], [], 0.1)[0]:
            return True
        try:
            data = os.read(self.screen, 65536)
        except OSError:  # the other side has closed it
            return False
        self.said += data
        return bool(data)


@contextmanager
def terminal(*words: str, columns: int = 100, rows: int = 40) -> Iterator[Terminal]:
    """Start `wave` with these words in a terminal of that size."""
    pid, screen = pty.fork()
    if pid == 0:  # pragma: no cover - another program from here on
        os.environ.update(TERM="xterm-256color", COLUMNS=str(columns), LINES=str(rows))
        os.execv(sys.executable, [sys.executable, "-m", "pipeline.cli", *words])
    fcntl.ioctl(screen, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    found = Terminal(pid, screen)
    try:
        yield found
    finally:
        if found.code is None:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        os.close(screen)
