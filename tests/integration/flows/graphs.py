"""Flows whose tasks write down when they ran, for tests that look at order and number of runs."""

from __future__ import annotations

import os
import random
from collections.abc import Mapping
from functools import cache
from typing import Any

from redis import Redis

from pipeline import Flow, State, Task, task

RANDOM_FLOWS = 24
shops = State("shops", partition_by="city")


@cache
def client(pid: int) -> Redis:
    return Redis.from_url(os.environ["REDIS_URL"])


def trace(date: Any, name: str, where: str) -> None:
    """Write down that a task ran; the list's order is the order of the runs."""
    client(os.getpid()).rpush(f"trace {date:%Y-%m-%dT%H}", f"{name} {where}")


def collection(name: str) -> Task:
    def collect(entity: str, date: Any) -> dict[str, list[str]]:
        trace(date, name, entity)
        return {"made": [name]}

    return task(name=name)(collect)


def computation(name: str, inputs: list[str]) -> Task:
    """A task whose value names all that came before it; made from text, because inputs are parameter names."""
    scope: dict[str, Any] = {"trace": trace, "merge": merge}
    source = f"def compute(entity, date, {', '.join(inputs)}):\n    trace(date, {name!r}, entity)\n"
    source += f"    return merge({name!r}, [{', '.join(inputs)}])\n"
    exec(source, scope)
    return task(name=name)(scope["compute"])


def reduction(name: str, inputs: list[str], per: Any) -> Task:
    scope: dict[str, Any] = {"trace": trace, "merge": merge}
    source = f"def reduce(entity, date, {', '.join(inputs)}):\n    trace(date, {name!r}, entity)\n"
    source += f"    found = [v for part in [{', '.join(inputs)}] for chunk in part for v in values(chunk)]\n"
    source += f"    return merge({name!r}, found)\n"
    scope["values"] = lambda chunk: chunk.values() if isinstance(chunk, Mapping) else [chunk]
    exec(source, scope)
    return task(name=name, per=per)(scope["reduce"])


def merge(name: str, inputs: list[dict[str, list[str]]]) -> dict[str, list[str]]:
    return {"made": sorted({name, *(made for value in inputs for made in value["made"])})}


# Twelve tasks: a..c collect, the "N" of d..f is not series-parallel, p runs once a city in the middle.
twelve = Flow(
    "twelve",
    [
        *(collection(name) for name in "abc"),
        computation("d", ["a"]),
        computation("e", ["a", "b"]),
        computation("f", ["b", "c"]),
        reduction("p", ["d", "e"], "partition"),
        computation("g", ["p", "f"]),
        computation("h", ["p"]),
        computation("i", ["g", "h"]),
        computation("j", ["g", "e"]),
        computation("k", ["i", "j", "c"]),
    ],
    state=shops,
)

# A member of the first group ends in a group of its own.
forked = Flow(
    "forked",
    [
        collection("fa"),
        collection("fb"),
        computation("fc", ["fa"]),
        computation("fd", ["fa"]),
        computation("fe", ["fb", "fc", "fd"]),
    ],
    state=shops,
)


def random_flow(seed: int) -> Flow:
    """A random graph of up to fourteen tasks; some run once a city or once a wave."""
    dice = random.Random(seed)
    make: list[Task] = []
    scoped: dict[str, str] = {}
    for number in range(dice.randint(1, 14)):
        name = f"t{number}_{seed}"
        before = [t.name for t in make]
        inputs = dice.sample(before, min(len(before), dice.choice([0, 1, 1, 2, 2, 3])))
        kind = dice.random()
        entity_inputs = [i for i in inputs if i not in scoped]
        if not inputs:
            make.append(collection(name))
        elif kind < 0.2 and entity_inputs:
            scoped[name] = dice.choice(["partition", "wave"])
            make.append(reduction(name, entity_inputs, scoped[name]))
        else:
            make.append(computation(name, inputs))
    return Flow(f"random{seed}", make, state=shops)


flows: dict[str, Flow] = {f"random{seed}": random_flow(seed) for seed in range(RANDOM_FLOWS)}
globals().update(flows)
