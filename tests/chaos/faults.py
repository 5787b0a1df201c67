"""Which faults are made on purpose, and whose they are: each wave has its guilty entities, decided by the seed."""

from __future__ import annotations

import argparse
import os
import random
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import count
from typing import Any

from redis import Redis

START = datetime(2026, 3, 1, tzinfo=UTC)
CALM = 3  # waves before all others, without kills and restarts, which tell what is usual
CITIES = 5
POOLS = {
    "threaded": "threads",
    "forked": "prefork",
}  # the task whose entities are guilty, and where it is run
EXITS = 2  # entities of each of these tasks, in each wave
HOLD_EVERY = 5  # waves
HOLD_FIRST = {"threaded": 0, "forked": 1}  # the wave that is the first to hold
BAD = 1  # entities that the source gives each time and a state cannot hold


@dataclass(frozen=True, slots=True)
class Faults:
    """What is done beside killing workers, restarting Redis, and sources that hang and fail."""

    exits: bool = True  # tasks that end their process, or try to
    holds: bool = True  # tasks that hold the GIL for longer than their time limit
    clocks: bool = True  # workers whose clock is ahead
    flush: bool = True  # Redis is emptied once
    bad_entities: bool = True  # in the source of the state
    mixed: bool = False  # workers of the release before
    twice: bool = True  # messages that come twice

    def env(self, entities: int, seed: int) -> dict[str, str]:
        """Write it down for the processes that do it."""
        given = {name: str(int(on)) for name, on in asdict(self).items()} | {
            "seed": seed,
            "entities": entities,
        }
        return {f"CHAOS_{name.upper()}": str(value) for name, value in given.items()}


def told(name: str) -> int:
    """Return what `Faults.env` has written; 0 where nobody has."""
    return int(os.environ.get(f"CHAOS_{name.upper()}", "0"))


def counters(url: str) -> Redis:
    """Connect to where faults are counted: a database of its own, which is not emptied."""
    return Redis.from_url(f"{url.rpartition('/')[0]}/1")


def shop(number: int) -> str:
    """Name an entity."""
    return f"shop{number:05}"


_calls = count()


def source() -> dict[Any, Any]:
    """Return the active entities, as a source does that has a bad one among them: each time of another kind."""
    good: dict[Any, Any] = {shop(n): {"city": f"city{n % CITIES}"} for n in range(told("entities"))}
    return _bad(next(_calls)) | good if told("bad_entities") else good


def _bad(call: int) -> dict[Any, Any]:
    kinds: list[dict[Any, Any]] = [
        {"a shop": {"city": "city0"}},
        {"shop-nowhere": {}},
        {"@all": {"city": "city1"}},
        {"shop-odd": "city2"},
        {7: {"city": "city3"}},
        {"shop-object": {"city": "city4", "owner": object()}},
    ]
    return kinds[call % len(kinds)]


def number(date: datetime) -> int:
    """Number a wave; those that are to be calm are below 0."""
    return (date - START) // timedelta(hours=1) - CALM


@cache
def guilty(task: str, date: datetime) -> Mapping[str, str]:
    """Return what entities of a wave do in that task: exit or hold."""
    wave = number(date)
    if wave < 0:
        return {}
    chance = random.Random(f"{told('seed')} {task} {wave}")
    *exits, holder = map(shop, chance.sample(range(told("entities")), EXITS + 1))
    holds = told("holds") and wave % HOLD_EVERY == HOLD_FIRST[task]
    return (dict.fromkeys(exits, "exit") if told("exits") else {}) | ({holder: "hold"} if holds else {})


def end_the_process(chance: int) -> None:
    """Do what ends a program of its own."""
    kind = chance % 3
    if kind == 0:
        sys.exit(3)
    if kind == 1:
        raise KeyboardInterrupt
    argparse.ArgumentParser("chaos").parse_args(["--no-such-option"])


def hold_the_gil() -> None:
    """Match an expression that would take years, in C and with the GIL held."""
    re.match("(a+)+$", "a" * 64 + "b")


def misbehave(task: str, entity: str, date: datetime, note: Callable[[str], None]) -> None:
    """Do what this entity of a wave is guilty of, if it is; `note` counts it first."""
    fault = guilty(task, date).get(str(entity))
    if fault is None:
        return
    note(f"{fault}s_{POOLS[task]}")
    if fault == "hold":
        hold_the_gil()
    end_the_process(number(date) + int(entity[-1]))
