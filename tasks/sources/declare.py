"""From a declaration to a task: what all ready tasks have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypedDict

from pipeline.errors import RunError, TaskError, TimedOut, listed, near
from pipeline.flows.durations import Duration
from pipeline.flows.task import Scope, Task, task
from tasks.errors import SourceError


class TaskOptions(TypedDict, total=False):
    """The options of `@task` that a ready task takes and hands on. See `pipeline.task`."""

    timeout: Duration | None
    time_limit: Duration
    ttl: Duration
    queue: str | None
    concurrency: int
    rate: str | None
    window: Mapping[str, Duration] | None
    batch: bool
    per: Scope | None


def declare(
    factory: str,
    name: str,
    fn: Callable[..., Any],
    options: Mapping[str, Any],
    refused: Mapping[str, str],
    **fixed: Any,
) -> Task:
    """Build a task from a function and its options.

    factory   what the user called, for messages
    refused   option -> why this kind of task does not take it
    fixed     options that are not the user's to choose

    Raises TaskError and DurationError, which name the factory or the task.
    """
    if not isinstance(name, str):
        raise TaskError(f"{factory} takes the task's name first, not {name!r}: {factory}('delay', ...).")
    for option in options:
        if option in refused:
            raise TaskError(f"{factory} {name!r} takes no {option}: {refused[option]}")
        if option not in TaskOptions.__annotations__:
            known = TaskOptions.__annotations__.keys() - refused.keys()
            raise TaskError(
                f"{factory} {name!r} has no option {option!r}.{near(option, known)} Those of every task are: "
                f"{listed(known)}."
            )
    fn.__name__ = fn.__qualname__ = name
    made: Task = task(name=name, **options, **fixed)(fn)
    return made


def answered(values: Mapping[str, Any], keys: Iterable[str]) -> dict[str, Any]:
    """Return a batch task's answer: a value for each key, None where there is no observation, or what went wrong.

    An exception as a value fails that entity alone. Where all failed alike, it is raised: nobody in particular is
    to blame.
    """
    result = {key: values.get(key) for key in keys}
    errors = [value for value in result.values() if isinstance(value, RunError)]
    if errors and len(errors) == len(result) and len(set(map(str, errors))) == 1:
        if len(result) == 1 or isinstance(errors[0], TimedOut | SourceError):
            raise errors[0]
        raise SourceError(str(errors[0]))
    return result


def one_value(what: str, read: Callable[[Any], Any], row: Any) -> Any:
    """Read the value of one entity's row; what goes wrong is its value, so that it fails alone."""
    try:
        return read(row)
    except RunError as error:
        return error
    except Exception as error:  # of a driver's types, whatever they raise
        return RunError(f"{what}: a value cannot be read: {type(error).__name__}: {error}")
