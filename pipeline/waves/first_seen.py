"""When scheduled flows were first seen: nobody is late with what was due before.

seen:{version}/{flow}    text: when, in seconds by Redis' clock
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from redis import Redis

KEPT = 35 * 86400  # seconds that it is remembered after somebody has looked


def first_seen(client: Redis, named: Sequence[tuple[str, str]], now: float) -> dict[tuple[str, str], float]:
    """Return when each (version, flow) was first seen, which is now for those that nobody has."""
    with client.pipeline(transaction=False) as pipe:
        for version, flow in named:
            key = f"seen:{version}/{flow}"
            pipe.set(key, int(now), nx=True, ex=KEPT)
            pipe.getex(key, ex=KEPT)
        answers = pipe.execute(raise_on_error=False)[1::2]
    return {each: _time(at, now) for each, at in zip(named, answers, strict=True)}


def _time(answer: Any, now: float) -> float:
    """Read it; what is no time counts as now, so that nobody is late by it."""
    return float(answer) if isinstance(answer, bytes) and answer.isdigit() else now
