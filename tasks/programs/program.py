"""Get the answers of a command for many entities, whatever becomes of single runs of it."""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.errors import RunError
from pipeline.execution.calls import over
from tasks.errors import CommandError, SourceError
from tasks.programs.lines import Answers, parse
from tasks.programs.process import MAX_OUTPUT, Ran, run

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Program:
    """A command, and how it is started."""

    what: str  # its name in messages
    argv: Sequence[str]
    cwd: str | Path | None = None
    env: Mapping[str, str] = field(default_factory=dict)  # beside our own environment

    def answers(self, requests: Mapping[str, bytes], limit: float, time_limit: float) -> dict[str, Any]:
        """Ask for each entity: its value, or the error that kept it from having one.

        requests    entity -> the line that asks for it
        limit       seconds until what is still unanswered is given up as TimedOut
        time_limit  the seconds that the message of that names

        When a run ends badly, what it answered counts, and the others are asked for again by halves, until whom it
        fails for is alone. Raises SourceError when the command fails without any entity, too.
        """
        deadline = time.monotonic() + limit
        found: dict[str, Any] = {}
        todo, checked = [list(requests)], False
        while todo:
            part = todo.pop()
            left = deadline - time.monotonic()
            if left <= 0:
                found |= dict.fromkeys(part, over(time_limit))
                continue
            ran, answers = self._run({key: requests[key] for key in part}, left)
            found |= answers.values
            rest = [key for key in part if key not in answers.values]
            if ran.code == 0 or ran.end == "time" or len(rest) < 2:
                found |= {key: self._failure(key, ran, answers, time_limit) for key in rest}
                continue
            if not found and not checked:
                checked = True
                self._check_empty(ran, max(deadline - time.monotonic(), 0.1))
            half = len(rest) // 2
            todo += [rest[half:], rest[:half]]
        return found

    def _run(self, requests: Mapping[str, bytes], limit: float) -> tuple[Ran, Answers]:
        ran = self._start(b"".join(requests.values()), limit)
        answers = parse(ran.output, requests.keys(), ran.end == "itself")
        if len(answers.values) == len(requests) and (ran.code or answers.fault):
            # Everybody has an answer, so that no message will tell.
            _log.warning("%s answered for all, but %s", self.what, self._reason(ran, answers))
        return ran, answers

    def _start(self, data: bytes, limit: float) -> Ran:
        try:
            return run(
                self.argv, data, limit, cwd=self.cwd, env={**os.environ, **self.env}, max_output=MAX_OUTPUT
            )
        except OSError as error:
            raise SourceError(f"{self.what} cannot be started: {self._why_not(error)}") from None

    def _why_not(self, error: OSError) -> str:
        if self.cwd is not None and not Path(self.cwd).is_dir():
            return f"there is no folder {str(self.cwd)!r} to run it in."
        place = f"in {str(Path(self.cwd or '.').resolve())!r}" if "/" in self.argv[0] else "on PATH"
        if isinstance(error, FileNotFoundError):
            return f"there is no {self.argv[0]!r} {place}, or what its first line (#!) names is not there."
        if isinstance(error, PermissionError):
            return f"{self.argv[0]!r} may not be executed. Allow it: chmod +x."
        return f"{self.argv[0]!r}: {error.strerror}. A script wants a first line like #!/bin/sh."

    def _check_empty(self, ran: Ran, limit: float) -> None:
        """Raise SourceError when the command ends in the same way without any line: then no entity is to blame."""
        empty = self._start(b"", limit)
        if (empty.end, empty.code, empty.errors) == (ran.end, ran.code, ran.errors):
            raise SourceError(f"{self.what} {_end(ran)}, even when it is asked for nobody{_said(ran)}")

    def _failure(self, key: str, ran: Ran, answers: Answers, time_limit: float) -> RunError:
        if ran.end == "time":
            return over(time_limit)
        return CommandError(f"{self.what} gave no answer for {key!r}: {self._reason(ran, answers)}")

    def _reason(self, ran: Ran, answers: Answers) -> str:
        if ran.code or ran.end != "itself":
            return f"it {_end(ran)}{_said(ran)}"
        if answers.fault:
            return answers.fault
        return f"it ended well without a line for it{_said(ran)}"


def _end(ran: Ran) -> str:
    if ran.end == "size":
        return f"was stopped when it had written {MAX_OUTPUT / 2**20:.0f} MB"
    if ran.code < 0:
        try:
            return f"was ended by {signal.Signals(-ran.code).name}"
        except ValueError:
            return f"was ended by signal {-ran.code}"
    return f"ended with exit code {ran.code}"


def _said(ran: Ran) -> str:
    return f". Its stderr: {ran.errors}" if ran.errors else ", and wrote nothing on stderr."
