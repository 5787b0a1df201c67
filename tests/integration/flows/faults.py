"""Flows that go wrong in ways that a test asks for through Redis keys."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

from redis import Redis

from pipeline import Flow, State, task

cities = State("cities", partition_by="country")


def asked(name: str) -> bool:
    """Whether the test wants this now."""
    return bool(Redis.from_url(os.environ["REDIS_URL"]).exists(name))


@task(time_limit="30s")
def source(entity: Any, date: Any) -> dict[str, int]:
    if entity.partition_name == "slow":
        for _ in range(200):
            if not asked("hang"):
                break
            time.sleep(0.1)
    return {"value": 1}


@task
def other(entity: str) -> dict[str, int]:
    return {"value": 2}


@task(timeout="6s")
def joined(other: dict[str, int], source: dict[str, int] | None = None) -> dict[str, Any]:
    return {"other": other["value"], "source": None if source is None else source["value"]}


@task
def needs(source: dict[str, int]) -> int:
    return source["value"]


hanging = Flow("hanging", [source, other, joined], state=cities)


@task
def fragile(entity: str, date: Any) -> int:
    if entity.startswith("bad") and asked("break"):
        raise ValueError(f"no data for {entity}")
    return len(entity)


@task
def doubled(fragile: int) -> int:
    return 2 * fragile


@task(batch=True)
def pooled(doubled: dict[str, int]) -> dict[str, int]:
    return {key: value + 1 for key, value in doubled.items()}


breaking = Flow("breaking", [fragile, doubled, pooled], state=cities)


@task(time_limit="1s")
def endless(entity: str) -> int:
    if entity == "endless":
        time.sleep(60)
    return 1


@task(time_limit="2s", concurrency=4, name="threads")
def in_threads(entity: str) -> int:
    time.sleep(60 if entity == "endless" else 0.05)
    return 1


@task
def after(endless: int | None = None, threads: int | None = None) -> str:
    return f"{endless} {threads}"


limited = Flow("limited", [endless, in_threads, after])


@task
def sleepy(entity: str) -> int:
    time.sleep(0.5)
    return 1


@task
def awake(sleepy: int) -> int:
    return sleepy


expiring = Flow("expiring", [sleepy, awake], expiry="1s")
scheduled = Flow("scheduled", [other], state=cities, schedule="0 * * * *")


@task
def discovering(entity: Any, state: Any) -> int:
    state.add(f"{entity}-child", country="found")
    return 1


growing = Flow("growing", [discovering], state=cities)


@task
def long(entity: str, date: Any) -> int:
    Redis.from_url(os.environ["REDIS_URL"]).rpush(f"long {date:%Y-%m-%dT%H}", entity)
    time.sleep(4)
    return 1


@task
def deadly(entity: str, date: Any) -> int:
    """Kills its process, the first time."""
    client = Redis.from_url(os.environ["REDIS_URL"])
    if client.incr(f"deadly {date:%Y-%m-%dT%H} {entity}") == 1:
        os.kill(os.getpid(), 9)
    return 1


@task
def hearse(deadly: int) -> int:
    return deadly


lasting = Flow("lasting", [long])
killing = Flow("killing", [deadly, hearse])


@task
def poison(entity: str, date: Any) -> int:
    """Kills its process each time, for one entity."""
    if entity == "poison":
        os.kill(os.getpid(), 9)
    return 1


@task(batch=True, splittable=True)
def poisoned_batch(entity: list[str]) -> dict[str, int]:
    if "poison" in entity:
        os.kill(os.getpid(), 9)
    return dict.fromkeys(entity, 1)


@task(batch=True)
def poisoned_whole(entity: list[str]) -> dict[str, int]:
    if "poison" in entity:
        os.kill(os.getpid(), 9)
    return dict.fromkeys(entity, 1)


@task
def survivors(poison: int, poisoned_batch: int, poisoned_whole: int | None = None) -> int:
    return poison + poisoned_batch


poisoning = Flow("poisoning", [poison, poisoned_batch, poisoned_whole, survivors], state=cities)


@task(time_limit="1s")
def deaf(entity: str) -> int:
    """Hangs where no signal reaches Python."""
    if entity == "deaf":
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM, signal.SIGUSR1})
        time.sleep(60)
    return 1


@task
def listener(deaf: int | None = None) -> int:
    return deaf or 0


hung = Flow("hung", [deaf, listener], state=cities)
