"""One run of a task: read its inputs, call it, give what came of each entity. Knows no gate and no Celery."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.errors import AnswerError, RunError
from pipeline.execution.calls import halving, in_turn
from pipeline.execution.inputs import Read, Source, batch_input, column, read, scoped_input
from pipeline.flows.entity import Entity
from pipeline.flows.left_out import LeftOut
from pipeline.flows.task import Task

Outcome = tuple[int, Any, BaseException | None]  # index of the entity, its value, or why there is none
Throttle = Callable[[], None]

_ENGINE = f"{Path(__file__).parents[1]}/"


class MissingInput(RunError):
    """A required input has no pipe for this entity."""

    def __init__(self, pipes: Sequence[str]) -> None:
        super().__init__(f"no {' and no '.join(pipes)} at this date")


@dataclass
class Work:
    """A task and the entities of one shard that it must run for."""

    task: Task
    source: Source
    entities: Sequence[str]  # Entity where the task asks for `entity`
    partition: str | None  # that they all lie in
    state: Any = None  # what a task that asks for `state` gets
    throttle: Throttle | None = None  # waits until the next call is allowed
    without: dict[str, list[str]] = field(default_factory=dict)  # optional input -> who went without it
    left: LeftOut = field(default_factory=LeftOut)  # what a batch answered for and was not asked for

    def outcomes(self, positions: Sequence[int]) -> Iterator[Outcome]:
        """Run the task for the entities at those positions, and yield what came of each, as it comes."""
        keys = [self.entities[i] for i in positions]
        found = read(self.task, self.source, keys, self.partition)
        self.without = dict(found.gaps)
        absent = found.absent
        for i, key in zip(positions, keys, strict=True):
            if key in absent:
                yield i, None, MissingInput(absent[key])
        here = [n for n, key in enumerate(keys) if key not in absent]
        if not here:
            return
        chosen = [keys[n] for n in here]
        run = self._batch if self.task.batch else self._each
        for n, value, error in run(found, chosen, here):
            yield positions[here[n]], value, error

    def _each(self, found: Read, keys: Sequence[str], places: Sequence[int]) -> Iterator[Outcome]:
        task, date = self.task, self.source.date
        columns = [
            self._reserved(name, keys) or column(task, name, found, keys, places, date)
            for name in parameters(task)
        ]
        rows = list(zip(*columns, strict=True)) if columns else [()] * len(keys)
        return in_turn(self._function(), rows, task.time_limit, task.concurrency)

    def _reserved(self, name: str, keys: Sequence[str]) -> Sequence[Any] | None:
        if name == "entity":
            return keys
        if name == "date":
            return [self.source.date] * len(keys)
        return [self.state] * len(keys) if name == "state" else None

    def _function(self) -> Callable[..., Any]:
        return throttled(positional(self.task), self.throttle)

    def _batch(self, found: Read, keys: Sequence[str], places: Sequence[int]) -> Iterator[Outcome]:
        function = self._function()

        def call(part: Sequence[int]) -> Mapping[str, Any]:
            chosen = [keys[n] for n in part]
            arguments = [
                self._batch_argument(name, found, chosen, [places[n] for n in part])
                for name in parameters(self.task)
            ]
            return checked(self.task, function(*arguments), chosen, self.left)

        for part, value, error in halving(call, len(keys), self.task.time_limit):
            for n in part:
                if error is not None:
                    yield n, None, error
                elif keys[n] not in value:
                    yield n, None, unanswered(self.task, keys[n])
                elif isinstance(value[keys[n]], BaseException):  # what kept this entity alone from a value
                    yield n, None, value[keys[n]]
                else:
                    yield n, value[keys[n]], None

    def _batch_argument(self, name: str, found: Read, keys: Sequence[str], places: Sequence[int]) -> Any:
        if name == "entity":
            return list(keys)
        if name == "date":
            return self.source.date
        if name == "state":
            return self.state
        return batch_input(self.task, name, found, keys, places, self.source.date)


def scoped(
    task: Task,
    source: Source,
    entity: Entity,
    shards: Sequence[tuple[str, Sequence[str]]],
    state: Any = None,
    throttle: Throttle | None = None,
    left: LeftOut | None = None,
) -> tuple[Mapping[str, Any], BaseException | None]:
    """Run a partition- or wave-scoped task once, and return {key: value} to put, or why there is none."""
    left = LeftOut() if left is None else left
    reserved = {"entity": entity, "date": source.date, "state": state}
    try:
        arguments = [
            reserved[name]
            if name in reserved
            else scoped_input(task, name, source, entity.partition_name, shards)
            for name in parameters(task)
        ]
    except LookupError as error:
        return {}, MissingInput([str(error.args[0])])
    ((_, value, raised),) = in_turn(throttled(positional(task), throttle), [arguments], task.time_limit)
    if raised is not None or value is None:
        return {}, raised
    if not task.batch:
        return {entity: value}, None
    try:
        return checked(task, value, [key for _, keys in shards for key in keys], left), None
    except AnswerError as error:
        return {}, error


def parameters(task: Task) -> list[str]:
    """Return the names of a task's parameters, in their order."""
    return list(inspect.signature(task.fn).parameters)


def positional(task: Task) -> Callable[..., Any]:
    """Return the task's function, callable with all its arguments by position."""
    found = inspect.signature(task.fn).parameters.values()
    if not any(p.kind is p.KEYWORD_ONLY for p in found):
        return task.fn
    names = [p.name for p in found]
    return lambda *row: task.fn(**dict(zip(names, row, strict=True)))


def throttled(fn: Callable[..., Any], throttle: Throttle | None) -> Callable[..., Any]:
    """Wrap a function so that each call waits for the throttle first."""
    if throttle is None:
        return fn

    def call(*row: Any) -> Any:
        throttle()
        return fn(*row)

    return call


def checked(task: Task, answer: Any, keys: Sequence[str], left: LeftOut) -> Mapping[str, Any]:
    """Return a batch task's answer for those that it was asked for; what it says of others is left out.

    Raises AnswerError for what is not a mapping, and for an answer for others alone.
    """
    if not hasattr(answer, "items"):
        raise AnswerError(
            f"batch task {task.name!r} answered with a {type(answer).__name__}. Return a mapping {{entity: value}}, "
            "with None where there is no observation."
        )
    answered = dict(answer.items())
    asked = {key: answered.pop(key) for key in keys if key in answered}
    foreign = sorted(repr(str(key)) for key in answered)
    if foreign and not asked:
        more = f" and {len(foreign) - 3} more" if len(foreign) > 3 else ""
        raise AnswerError(
            f"batch task {task.name!r} answered for what it was not asked for: {', '.join(foreign[:3])}{more}. Use the "
            "keys that it was given."
        )
    for key, value in answered.items():
        left.add(key, value if isinstance(value, RunError) else f"task {task.name!r} was not asked for it")
    return asked


def unanswered(task: Task, key: str) -> AnswerError:
    """Build the error of an entity that a batch task left out."""
    return AnswerError(
        f"batch task {task.name!r} gave no answer for {str(key)!r}. Return a value for each entity, None where there "
        "is no observation."
    )


def describe(error: BaseException, limit: int = 2000) -> str:
    """Write an error as one short text: its kind, what it says, and where in the user's code it was raised."""
    try:
        said = "" if error.args == (None,) else str(error).strip()  # exit() with nothing to say
    except Exception:  # a user's own exception may fail at this too
        said = ""
    text = said.encode(errors="backslashreplace").decode()[: limit - 200]  # Redis takes no lone surrogates
    if isinstance(error, RunError):
        return text
    return f"{type(error).__name__}: {text or 'no message'}{_place(error)}"


def _place(error: BaseException) -> str:
    """Return which line raised an error: the last one of the user's, where our code calls it or a file beside it."""
    places: list[tuple[str, str]] = []  # folder of the line, what to say of it
    trace = error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        folder, _, file = code.co_filename.rpartition("/")
        if not code.co_filename.startswith((_ENGINE, "<")):
            places.append((folder, f" ({file}:{trace.tb_lineno}, in {code.co_name})"))
        trace = trace.tb_next
    return next((said for folder, said in reversed(places) if folder == places[0][0]), "")
