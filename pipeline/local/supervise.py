"""Child processes that end with their owner.

Whatever becomes of the owner, nothing is left: each child leads a process group of its own, and a sentinel, some
lines of shell that wait for the end of a pipe, kills the groups when the owner is gone without having done so. A
child begins as a shell that waits for a word from its owner, so that one whose start was interrupted ends by itself.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Self

from pipeline.errors import ProcessError

START_LIMIT = 60.0  # seconds until a worker must be ready; a busy machine needs some for the imports
PATIENCE = 10.0  # seconds that children have to finish what they run
QUIT_LIMIT = 3.0  # seconds after that until they are killed
TAIL = 30  # lines of a child's output that an error shows
READY = "PIPELINE_READY_FILE"  # where a worker says that it is ready

Show = Callable[[str, str], None]  # takes a child's name and a line of its output

_GATE = 'read -r _ && exec "$@" </dev/null'

# Each line names the groups that run now. The pipe ends when its owner does.
_SENTINEL = """
while read -r line; do groups=$line; done
for group in $groups; do kill -s KILL -- "-$group"; done 2>/dev/null
rm -rf "$1"
"""


@dataclass
class Child:
    """One child process."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path | None  # where its output goes; None when it is shown
    ready: Path  # exists from when it said that it is ready
    command: tuple[str | Path, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    lines: deque[str] = field(default_factory=lambda: deque(maxlen=TAIL))  # the last that were shown
    pump: threading.Thread | None = None
    cleared: bool = False  # nothing of its group is left

    @property
    def pid(self) -> int:
        """Its process id, and that of its group."""
        return self.process.pid

    @property
    def code(self) -> int | None:
        """How it ended, as the shell tells it (130 for SIGINT); None while it runs."""
        found = self.process.poll()
        return found if found is None or found >= 0 else 128 - found

    def tail(self) -> str:
        """Return the end of its output."""
        if self.pump is not None and self.code is not None:
            self.pump.join(timeout=1)
        lines = self.lines if self.log is None else self.log.read_text(errors="replace").splitlines()[-TAIL:]
        return "\n".join(f"  {line}" for line in lines) or "  (nothing)"

    def send(self, number: int, group: bool = False) -> None:
        """Send a signal to the process, or to all of its group."""
        with suppress(ProcessLookupError):
            if group:
                os.killpg(self.pid, number)
            elif self.process.poll() is None:
                os.kill(self.pid, number)


class Processes:
    """Children that end with the `with` block, or when this process ends in any other way.

    logs       folder for their output, a file each; by default one that is removed at the end
    show       gets their output line by line instead, from threads
    patience   seconds that they have at the end to finish what they run; 0: they are killed at once
    """

    def __init__(
        self, logs: Path | str | None = None, show: Show | None = None, patience: float = PATIENCE
    ) -> None:
        self._patience = patience
        self._logs = None if logs is None else Path(logs)
        self._show = show
        self._folder: Path | None = None
        self._sentinel: subprocess.Popen[str] | None = None
        self.children: list[Child] = []

    def __enter__(self) -> Self:
        self._folder = Path(tempfile.mkdtemp(prefix="wave-processes-"))
        command = ["/bin/sh", "-c", _SENTINEL, "sentinel", str(self._folder)]
        self._sentinel = subprocess.Popen(command, stdin=subprocess.PIPE, text=True, start_new_session=True)
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.stop()
        finally:
            self._close()

    @property
    def folder(self) -> Path:
        """A folder that goes with the last of them, for files of theirs."""
        assert self._folder is not None, "enter the `with` block first"
        return self._folder

    @property
    def pids(self) -> list[int]:
        """The process ids of the children, in the order in which they were started."""
        return [child.pid for child in self.children]

    @property
    def names(self) -> list[str]:
        """The names of the children, in the same order."""
        return [child.name for child in self.children]

    def start(self, name: str, command: Sequence[str | Path], env: Mapping[str, str]) -> Child:
        """Start a child with that environment, beside what is in this process' own."""
        child = self._spawn(name, command, {**os.environ, **env, READY: str(self.folder / f"{name}.ready")})
        self.children.append(child)
        self._let_go(child)
        return child

    def renew(self, index: int) -> bool:
        """Start a child anew in the place of one that has ended, or end as one that never came up: then False."""
        ended = self.children[index]
        if not ended.ready.exists():
            return False
        self.kill(index)  # with what it has left
        ended.ready.unlink()
        self.children[index] = self._spawn(ended.name, ended.command, ended.env)
        self._let_go(self.children[index])
        return True

    def _let_go(self, child: Child) -> None:
        """Let a child begin, once the sentinel knows of it."""
        self._tell_sentinel()
        assert child.process.stdin is not None
        with suppress(BrokenPipeError):  # it is gone already; whoever waits for it will see that
            child.process.stdin.write(b"go\n")
            child.process.stdin.close()

    def _spawn(self, name: str, command: Sequence[str | Path], env: Mapping[str, str]) -> Child:
        folder = self._logs or self.folder
        folder.mkdir(parents=True, exist_ok=True)
        log = None if self._show else folder / f"{name}.log"
        output: IO[bytes] | int = log.open("ab") if log else subprocess.PIPE
        process = subprocess.Popen(
            ["/bin/sh", "-c", _GATE, name, *command],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=dict(env),
            start_new_session=True,
        )
        child = Child(name, process, log, Path(env[READY]), tuple(command), env)
        if log is None:
            child.pump = threading.Thread(target=self._pump, args=(child,), daemon=True)
            child.pump.start()
        elif not isinstance(output, int):
            output.close()
        return child

    def _pump(self, child: Child) -> None:
        assert child.process.stdout is not None
        assert self._show is not None
        with child.process.stdout as output:
            for line in output:
                text = line.decode(errors="replace").rstrip("\n")
                child.lines.append(text)
                self._show(child.name, text)

    def ended(self) -> list[Child]:
        """Return the children that have ended."""
        return [child for child in self.children if child.code is not None]

    def wait_ready(self, timeout: float = START_LIMIT, names: Sequence[str] | None = None) -> None:
        """Wait until each child, or each of those names, has said that it is ready.

        Raises ProcessError, with the end of its output, for one that ended or that took longer than `timeout` s.
        """
        deadline = time.monotonic() + timeout
        for child in self.children:
            if names is not None and child.name not in names:
                continue
            while not child.ready.exists():
                if child.code is not None:
                    raise ProcessError(
                        f"{child.name} ended with exit code {child.code}. It said:\n{child.tail()}"
                    )
                if time.monotonic() > deadline:
                    raise ProcessError(
                        f"{child.name} was not ready after {timeout:g} s. It said:\n{child.tail()}"
                    )
                time.sleep(0.01)

    def send(self, number: int) -> None:
        """Send a signal to each child that runs."""
        for child in self.children:
            child.send(number)

    def wait(self, timeout: float) -> bool:
        """Wait until all have ended; False when one still runs after `timeout` seconds."""
        deadline = time.monotonic() + timeout
        while len(self.ended()) < len(self.children):
            if time.monotonic() > deadline:
                return False
            time.sleep(0.01)
        return True

    def stop(self) -> None:
        """End all: what they run may finish while the patience lasts, then it is given back to the queue."""
        try:
            if self._patience:
                self.send(signal.SIGTERM)
                if not self.wait(self._patience):
                    self.send(signal.SIGQUIT)
                    self.wait(QUIT_LIMIT)
        finally:
            for i in range(len(self.children)):
                self.kill(i)

    def kill(self, index: int, number: int = signal.SIGKILL) -> None:
        """Kill a child with all that it has started, as the end of a container does."""
        child = self.children[index]
        if child.cleared:  # its number may be somebody else's by now
            return
        child.send(number, group=True)
        if number == signal.SIGKILL:
            child.process.wait()
            child.cleared = True
            self._tell_sentinel()
            if child.process.stdin is not None:
                child.process.stdin.close()

    def _tell_sentinel(self) -> None:
        assert self._sentinel is not None
        assert self._sentinel.stdin is not None
        with suppress(BrokenPipeError):  # somebody killed it: the children must still be ours to end
            self._sentinel.stdin.write(
                " ".join(str(child.pid) for child in self.children if not child.cleared) + "\n"
            )
            self._sentinel.stdin.flush()

    def _close(self) -> None:
        if self._sentinel is not None:
            self.children = []
            self._tell_sentinel()
            self._sentinel.communicate()
            self._sentinel = None
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
