"""Task and @task: a function that reads pipes and yields one pipe.

The names of a function's parameters are the pipes that it reads. Three names are reserved and filled in by the
engine: `entity` (what the call is for), `date` (the wave's hour, UTC) and `state` (the registry, to add to).
"""

from __future__ import annotations

import inspect
import keyword
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal, overload

from pipeline.errors import DurationError, TaskError, listed, near
from pipeline.flows import durations
from pipeline.flows.durations import Duration
from pipeline.flows.place import Place

RESERVED = ("entity", "date", "state")
COLLECT, COMPUTE = "collect", "compute"
CONTROL, SOLO = "control", "solo"
ENGINE_QUEUES = (CONTROL, SOLO)  # where waves start, and where runs alone what has killed a worker

DEFAULT_TIME_LIMIT = "10m"
DEFAULT_TTL = "30d"

Scope = Literal["partition", "wave"]
_QUEUE = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True, eq=False)
class Task:
    """One node of a flow. Made by `@task`; calling it calls the function that was decorated.

    Args:
        name: The name of the pipe that it yields.
        fn: The function.
        required: Inputs without a default.
        optional: Input -> what it gets when there is no pipe.
        wants: Which of the reserved names it takes.
        batch: Called once for a whole shard, with mappings.
        per: The scope that it is called for; None: each entity.
        window: Input -> hours of it, this one included.
        timeout: Seconds that it waits for its inputs; None: the flow's default.
        time_limit: Seconds that one run over one shard may take.
        ttl: Seconds after their date that its pipes are kept.
        splittable: Batch: whether one that killed its worker may be run again by halves.
        queue: The kind of worker that runs it.
        concurrency: Threads that call it, within one shard.
        rate: Calls a second over all workers.
        place: Where it is declared.

    Example:
        >>> @task(window={"delay": "3h"})
        ... def worst(delay, weather=None):
        ...     return max(delay)
        >>> worst.inputs, worst.window["delay"], worst([8.0, 12.5, 3.0])
        (('delay', 'weather'), 3, 12.5)
    """

    name: str
    fn: Callable[..., Any]
    required: tuple[str, ...] = ()
    optional: Mapping[str, Any] = field(default_factory=dict)
    wants: frozenset[str] = frozenset()
    batch: bool = False
    per: Scope | None = None
    window: Mapping[str, int] = field(default_factory=dict)
    timeout: float | None = None
    time_limit: float = 600.0
    ttl: float = 30 * 86400.0
    splittable: bool = False
    queue: str = COMPUTE
    concurrency: int = 1
    rate: float | None = None
    place: Place | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        # What functools.update_wrapper does, past the frozen dataclass: help() and inspect show the function.
        for attribute in ("__module__", "__doc__", "__name__", "__qualname__"):
            object.__setattr__(self, attribute, getattr(self.fn, attribute, None))
        object.__setattr__(self, "__wrapped__", self.fn)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the plain function, as a unit test does."""
        return self.fn(*args, **kwargs)

    def __repr__(self) -> str:
        return f"Task({self.name!r})"

    @property
    def inputs(self) -> tuple[str, ...]:
        """The names of the pipes that it reads, required ones first."""
        return (*self.required, *self.optional)

    @property
    def collects(self) -> bool:
        """True for a collection task: one without inputs."""
        return not self.inputs


@overload
def task(fn: Callable[..., Any], /) -> Task: ...
@overload
def task(
    *,
    name: str | None = None,
    batch: bool = False,
    per: Scope | None = None,
    window: Mapping[str, Duration] | None = None,
    timeout: Duration | None = None,
    time_limit: Duration = DEFAULT_TIME_LIMIT,
    ttl: Duration = DEFAULT_TTL,
    splittable: bool = False,
    queue: str | None = None,
    concurrency: int = 1,
    rate: str | None = None,
) -> Callable[[Callable[..., Any]], Task]: ...


def task(fn: Callable[..., Any] | None = None, /, **options: Any) -> Any:
    """Make a function a task of flows. Used bare, or with options.

    Args:
        fn: Its parameters are the pipes that it reads, and `entity`, `date` and `state`.
        name: The pipe's name; the function's by default.
        batch: Called once a shard with mappings entity -> value, and answers with one, in which an exception fails
            its entity alone; else called once an entity.
        per: "partition" or "wave": runs once over all entities of that scope, each input an iterable of chunks.
        window: {"pipe": "28d"}: read the pipe's hours of that length, this one included, instead of one value.
        timeout: How long after the shard's start it waits for its inputs; "10m", later than each input's.
        time_limit: How long one run over one shard may take.
        ttl: How long its pipes are kept after their date.
        splittable: A batch task that kills its worker is run again by halves, until the entity that does it is
            alone; without it all entities of the shard are failed.
        queue: The kind of worker: "collect" without inputs, "compute" with them, or a name of your own.
        concurrency: Threads that call a task that waits for a network (not with batch or per).
        rate: "50/s": calls over all workers together.

    Raises:
        TaskError: The declaration cannot work; it names the task.
        DurationError: A length of time or the rate cannot be read.
    """
    for option in options:
        if option not in _OPTIONS:
            raise TaskError(
                f"@task has no option {option!r}.{near(option, _OPTIONS)} It has: {listed(_OPTIONS)}."
            )
    if fn is None:
        return lambda f: _declare(f, **options)
    return _declare(fn, **options)


def _declare(
    fn: Callable[..., Any],
    *,
    name: str | None = None,
    batch: bool = False,
    per: Scope | None = None,
    window: Mapping[str, Duration] | None = None,
    timeout: Duration | None = None,
    time_limit: Duration = DEFAULT_TIME_LIMIT,
    ttl: Duration = DEFAULT_TTL,
    splittable: bool = False,
    queue: str | None = None,
    concurrency: int = 1,
    rate: str | None = None,
) -> Task:
    if isinstance(fn, Task):
        raise TaskError(f"{fn.name!r} is a task already: remove one @task.")
    if not callable(fn):
        raise TaskError(f"@task takes a function, not {fn!r}. Options go by name: @task(batch=True).")
    name = name or getattr(fn, "__name__", None) or type(fn).__name__
    _check_name(name)
    what = f"task {name!r}"
    _check_kind(what, fn)
    required, optional, wants = _parameters(fn, what)
    inputs = (*required, *optional)
    if timeout is not None and not inputs:
        raise TaskError(f"{what} reads no pipe, so there is nothing to wait for: remove timeout={timeout!r}.")
    if batch and per is None and not inputs and "entity" not in wants:
        raise TaskError(f"{what} is not told for which entities it is to answer: add the parameter `entity`.")
    _check_scope(what, per, batch, concurrency, queue)
    return Task(
        name=name,
        fn=fn,
        required=required,
        optional=MappingProxyType(optional),
        wants=wants,
        batch=bool(batch),
        per=per,
        window=MappingProxyType(_windows(what, {} if window is None else window, inputs)),
        timeout=None if timeout is None else durations.seconds(timeout, f"{what}: timeout"),
        time_limit=durations.seconds(time_limit, f"{what}: time_limit"),
        ttl=durations.seconds(ttl, f"{what}: ttl"),
        splittable=splittable,
        queue=queue or (COMPUTE if inputs else COLLECT),
        concurrency=concurrency,
        rate=None if rate is None else durations.per_second(rate, f"{what}: rate"),
        place=Place.of(fn),
    )


_OPTIONS = tuple(inspect.signature(_declare).parameters)[1:]


def _check_name(name: str) -> None:
    if not isinstance(name, str) or not name.isidentifier() or keyword.iskeyword(name):
        raise TaskError(
            f"task name {name!r} is not a Python name, and inputs are parameter names. "
            "Give it one: @task(name='delay') above a def."
        )
    if name in RESERVED:
        raise TaskError(
            f"task name {name!r} is reserved for the engine ({', '.join(RESERVED)}). Rename the task."
        )


def _check_kind(what: str, fn: Callable[..., Any]) -> None:
    if inspect.iscoroutinefunction(fn) or inspect.isasyncgenfunction(fn):
        raise TaskError(
            f"{what} is an async function, and nobody awaits it. Make it a plain one; "
            "concurrency=8 calls it in 8 threads."
        )
    if inspect.isgeneratorfunction(fn):
        raise TaskError(
            f"{what} is a generator, but a task gives its value at once. Replace yield by return."
        )


def _parameters(fn: Callable[..., Any], what: str) -> tuple[tuple[str, ...], dict[str, Any], frozenset[str]]:
    """Sort a function's parameters into required inputs, optional inputs and reserved names."""
    required: list[str] = []
    optional: dict[str, Any] = {}
    wants: set[str] = set()
    try:
        parameters = inspect.signature(fn).parameters.values()
    except (TypeError, ValueError):
        raise TaskError(f"{what} does not tell the names of its parameters. Wrap {fn!r} in a def.") from None
    for parameter in parameters:
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise TaskError(
                f"{what} has the parameter {str(parameter)!r}, but each input needs a name of its own. "
                "Name the pipes that it reads."
            )
        if parameter.name in RESERVED:
            wants.add(parameter.name)
        elif parameter.default is parameter.empty:
            required.append(parameter.name)
        else:
            optional[parameter.name] = parameter.default
    return tuple(required), optional, frozenset(wants)


def _check_scope(what: str, per: str | None, batch: bool, concurrency: int, queue: str | None) -> None:
    if per not in (None, "partition", "wave"):
        raise TaskError(
            f"{what}: per={per!r} is not a scope. Use per='partition' or per='wave', or leave it out."
        )
    if isinstance(concurrency, bool) or not isinstance(concurrency, int) or concurrency < 1:
        raise TaskError(f"{what}: concurrency={concurrency!r} is not a number of threads. Use 1 or more.")
    if concurrency > 1 and (batch or per):
        raise TaskError(
            f"{what} is called once for many entities, so concurrency={concurrency} has nothing to spread. "
            "Remove it, or remove batch/per."
        )
    if queue is not None and not (isinstance(queue, str) and _QUEUE.fullmatch(queue)):
        raise TaskError(f"{what}: queue={queue!r} is not a name. Use letters, digits, - and _.")
    if queue in ENGINE_QUEUES:
        raise TaskError(f"{what}: queue={queue!r} is kept for the engine. Choose another name.")


def _windows(what: str, window: Mapping[str, Duration], inputs: tuple[str, ...]) -> dict[str, int]:
    if not isinstance(window, Mapping):
        raise TaskError(
            f"{what}: window={window!r} does not say of which input. Write window={{'pipe': '28d'}}."
        )
    hours: dict[str, int] = {}
    for pipe, length in window.items():
        if pipe not in inputs:
            raise TaskError(
                f"{what} has a window over {pipe!r}, which is not one of its inputs.{near(pipe, inputs)} "
                f"It reads: {', '.join(inputs) or 'nothing'}."
            )
        value = durations.seconds(length, f"{what}: window of {pipe!r}")
        if value % durations.HOUR:
            raise DurationError(f"{what}: window of {pipe!r} {length!r} is not a whole number of hours.")
        hours[pipe] = int(value // durations.HOUR)
    return hours
