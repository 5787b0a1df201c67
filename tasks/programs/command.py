"""Tasks in any language: a command that reads and writes lines of JSON.

    risk = command("risk", ["./risk.sh"], inputs=["delay"], optional={"weather": None})

The command is started once a batch, without a shell. On stdin it gets one JSON object a line for each entity:

    {"entity": "JFK-LAX", "date": "2013-06-25T13:00:00Z", "features": {"origin": "JFK"}, "delay": 12.5, "weather": null}

and on stdout it answers with one a line, in any order:

    {"entity": "JFK-LAX", "value": 0.3}         null: no observation
    {"entity": "JFK-BOS", "error": "no runway"}   this entity fails, with that text

What it writes on stderr is for the message of an error. Exit code 0 means that all is well; given no lines at all,
it should end with 0 as well. When it ends with another code, the answers that it gave count, and it is started
again for halves of the others until whom it cannot do is alone.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from inspect import Parameter, Signature
from pathlib import Path
from typing import Any, Unpack

from pipeline.errors import TaskError, listed, near
from pipeline.flows import durations
from pipeline.flows.task import DEFAULT_TIME_LIMIT, RESERVED, Task
from tasks.errors import CommandError, SourceError
from tasks.programs.lines import request
from tasks.programs.program import Program
from tasks.sources.declare import TaskOptions, answered, declare

_MARGIN = 2.0  # seconds before its time limit that a command is killed, so that what it answered can be put
_REFUSED = {
    "batch": "a command always works on a batch.",
    "per": "a command runs for each entity. Give it a scope's pipe as an input named in shared=[...].",
}


def command(
    name: str,
    argv: Sequence[str],
    *,
    inputs: Sequence[str] = (),
    optional: Mapping[str, Any] | None = None,
    shared: Collection[str] = (),
    cwd: str | Path | None = None,
    env: Mapping[str, str] | None = None,
    **options: Unpack[TaskOptions],
) -> Task:
    """Build a task of a command. Without inputs it is a collection task.

    Shortly before `time_limit` it is killed with all processes that it started; what it answered until then counts.

    Args:
        name: The pipe's.
        argv: The program and its arguments; there is no shell.
        inputs: The pipes that it reads. One with a window is sent as a list of numbers, oldest first, null for NaN.
        optional: Pipes that it can do without -> what is sent where there is none.
        shared: Those of the inputs that a partition or the wave has one of: sent whole with every line.
        cwd: The folder that it runs in, and that a relative program is looked for in; the worker's by default.
        env: Environment variables beside the worker's own.
        **options: Those of `@task`, but `batch` and `per`.

    Raises:
        TaskError: The declaration cannot work.
        DurationError: A length of time or the rate cannot be read.
    """
    what = f"command {name!r}"
    optional = dict(optional or {})
    signature = _signature(what, inputs, optional)
    batch = _Batch(
        Program(what, _check_argv(what, argv), cwd, dict(env or {})),
        optional,
        _check_shared(what, shared, (*inputs, *optional)),
        frozenset(options.get("window") or ()),
        durations.seconds(options.get("time_limit", DEFAULT_TIME_LIMIT), f"{what}: time_limit"),
    )

    def call(*args: Any, **kwargs: Any) -> dict[str, Any]:
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        return batch.answer(**bound.arguments)

    call.__signature__ = signature  # type: ignore[attr-defined]
    return declare("command", name, call, options, _REFUSED, batch=True)


@dataclass(frozen=True)
class _Batch:
    """What is asked of a program for each entity of a batch."""

    program: Program
    optional: Mapping[str, Any]
    shared: frozenset[str]
    windows: frozenset[str]
    time_limit: float  # seconds

    def answer(self, entity: Sequence[str], date: datetime, **inputs: Any) -> dict[str, Any]:
        """Ask the program for all entities of a batch."""
        for name, given in inputs.items():
            self._check_shape(name, given, entity)
        requests: dict[str, bytes] = {}
        failed: dict[str, Any] = {}
        for key in entity:
            try:
                requests[key] = request(
                    key, date, {name: self._one(name, inputs[name], key) for name in inputs}
                )
            except CommandError as error:
                failed[key] = error
        limit = self.time_limit - min(_MARGIN, self.time_limit / 10)
        found = self.program.answers(requests, limit, self.time_limit) if requests else {}
        return answered(found | failed, entity)

    def _check_shape(self, name: str, given: Any, entity: Sequence[str]) -> None:
        """Refuse one value for all, which may itself be a mapping, where a value an entity is expected."""
        if name in self.shared or name in self.windows:
            return
        if not isinstance(given, Mapping) or not given.keys() <= set(entity):
            raise SourceError(
                f"{self.program.what}: the input {name!r} is one value for all entities, a {type(given).__name__}. "
                f"Say so: shared=[{name!r}]."
            )

    def _one(self, name: str, given: Any, key: str) -> Any:
        """Take an entity's part of an input."""
        if name in self.shared:
            return given
        if name in self.windows:
            numbers = given[key].tolist()
            return self.optional[name] if name in self.optional and all(x != x for x in numbers) else numbers
        return given[key] if key in given else self.optional[name]


def _check_argv(what: str, argv: Sequence[str]) -> tuple[str, ...]:
    if isinstance(argv, str) or not argv or not all(isinstance(part, str | os.PathLike) for part in argv):
        raise TaskError(
            f"{what}: {argv!r} is not a command. Give a list of texts, as there is no shell: ['./risk.sh', '--fast'], "
            "or, to have one, ['sh', '-c', '...']."
        )
    return tuple(os.fspath(part) for part in argv)


def _signature(what: str, inputs: Sequence[str], optional: Mapping[str, Any]) -> Signature:
    """Build the signature that `@task` reads the inputs from."""
    if isinstance(inputs, str):
        raise TaskError(f"{what}: inputs={inputs!r} is a text. Give a list: inputs=[{inputs!r}].")
    names = [*inputs, *optional]
    for name in names:
        if not isinstance(name, str) or not name.isidentifier():
            raise TaskError(f"{what}: the input {name!r} is not a name of a pipe.")
        if name in (*RESERVED, "features"):
            raise TaskError(
                f"{what}: the input {name!r} is a name that each line has already. Rename the pipe."
            )
        if names.count(name) > 1:
            raise TaskError(f"{what} names the input {name!r} twice. Name it once, in inputs or in optional.")
    kind = Parameter.POSITIONAL_OR_KEYWORD
    return Signature(
        [
            *(Parameter(name, kind) for name in ("entity", "date", *inputs)),
            *(Parameter(name, kind, default=default) for name, default in optional.items()),
        ]
    )


def _check_shared(what: str, shared: Collection[str], inputs: Sequence[str]) -> frozenset[str]:
    for name in [shared] if isinstance(shared, str) else shared:
        if name not in inputs or isinstance(shared, str):
            raise TaskError(
                f"{what}: shared={shared!r} is to be a list of those inputs that all entities have in common."
                f"{near(name, inputs)} Its inputs: {listed(inputs)}."
            )
    return frozenset(shared)
