"""The flows that are measured. Their tasks do nothing, so that what is measured is the engine."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from inspect import Parameter, Signature, signature
from types import FunctionType, MappingProxyType
from typing import Any

from pipeline import Flow, Task, task

DAYS_KEPT = 30  # of each pipe, which is the default
NAP = 0.05  # seconds
COLLECTED = ("one", "two", "three")

Functions = Mapping[str, Callable[..., Any]]


def _objects() -> Functions:
    """Three collections that one computation joins, and one more after it; the values are JSON objects."""

    def one(entity, date):
        return {"mean": 12.5, "count": 3, "source": "one"}

    def two(entity, date):
        return {"mean": 12.5, "count": 3, "source": "two"}

    def three(entity, date):
        return {"mean": 12.5, "count": 3, "source": "three"}

    def joined(one, two, three):
        return {"mean": 12.5, "count": 9, "source": "joined"}

    def final(joined):
        return {"mean": 12.5, "count": 9, "source": "final"}

    return MappingProxyType({f.__name__: f for f in (one, two, three, joined, final)})


def _numbers() -> Functions:
    """The same graph; the values are numbers, which also go into series."""

    def one(entity, date):
        return 12.5

    def two(entity, date):
        return 3.25

    def three(entity, date):
        return 0.0

    def joined(one, two, three):
        return 15.75

    def final(joined):
        return joined

    return MappingProxyType({f.__name__: f for f in (one, two, three, joined, final)})


def _tasks(functions: Functions, prefix: str = "", threads: int = 1) -> list[Task]:
    return [
        task(name=prefix + name, concurrency=threads if name in COLLECTED else 1, ttl=f"{DAYS_KEPT}d")(
            _reading(function, prefix)
        )
        for name, function in functions.items()
    ]


def _reading(function: Callable[..., Any], prefix: str) -> Callable[..., Any]:
    """The same function, whose inputs have names of another flow: a pipe has one maker."""
    own = FunctionType(function.__code__, function.__globals__, prefix + function.__name__)
    parameters = [
        p if p.name in ("entity", "date") else p.replace(name=prefix + p.name)
        for p in signature(function).parameters.values()
    ]
    own.__signature__ = Signature(parameters)
    return own


def _layers(depth: int, width: int) -> list[Task]:
    """Tasks in layers, each of which reads two of the layer before: a graph that is not series-parallel."""
    tasks: list[Task] = []
    for layer in range(depth):
        for place in range(width):
            inputs = [f"step_{layer - 1}_{(place + shift) % width}" for shift in (0, 1)] if layer else []
            tasks.append(_step(f"step_{layer}_{place}", inputs))
    return tasks


def _step(name: str, inputs: Sequence[str]) -> Task:
    def run(*values):
        return {"mean": 12.5}

    run.__signature__ = Signature([Parameter(i, Parameter.POSITIONAL_OR_KEYWORD) for i in inputs])
    return task(name=name)(run)


def nap(entity):
    """Wait as a collector waits for its source."""
    time.sleep(NAP)
    return {"slept": NAP}


OBJECTS, NUMBERS = _objects(), _numbers()

objects = Flow("objects", _tasks(OBJECTS))
numbers = Flow("numbers", _tasks(NUMBERS, "number_"))
threads = Flow("threads", _tasks(OBJECTS, "thread_", threads=8))
thirty = Flow("thirty", _layers(depth=5, width=6))
naps = Flow("naps", [task(nap)])
