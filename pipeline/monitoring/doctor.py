"""What is wrong with a deployment, and what to do about it: `wave doctor`.

`collect` asks Redis for the facts, `diagnose` runs the checks over them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from redis.exceptions import RedisError

from pipeline.clock import skew
from pipeline.flows.flow import Flow
from pipeline.forms import named_unreadable
from pipeline.gate.keys import DEADLINES, WAVES, wave_key
from pipeline.monitoring.findings import Facts, Finding
from pipeline.monitoring.observe import standings
from pipeline.monitoring.record_checks import check_records
from pipeline.monitoring.redis_checks import check_redis
from pipeline.monitoring.worker_checks import STUCK, check_workers, needed
from pipeline.waves.presence import REFUSED, present
from pipeline.waves.runtime import Runtime


def examine(runtime: Runtime, flows: Iterable[Flow] = ()) -> list[Finding]:
    """Look at everything. Raises redis' own errors where it does not answer."""
    return diagnose(collect(runtime, tuple(flows)))


def diagnose(facts: Facts) -> list[Finding]:
    """Run all checks."""
    return [*check_redis(facts), *check_workers(facts), *check_records(facts)]


def collect(runtime: Runtime, flows: tuple[Flow, ...]) -> Facts:
    """Ask Redis for all that the checks need."""
    client: Any = runtime.client
    now = runtime.clock.look()
    version = runtime.settings.version or "main"
    names = needed(version, flows)
    past = client.zrangebyscore(DEADLINES, "-inf", (now.timestamp() - STUCK) * 1000, start=0, num=100)
    stand = standings(runtime, version, flows, now)
    return Facts(
        version=version,
        flows=flows,
        control=client.info(),
        stores=runtime.store_info(),
        saves=_saves(client),
        skew=skew(client.time),
        processes=tuple(present(client)),
        unstarted={
            f"{one.name} {one.unstarted}": now.timestamp() - max(one.due.timestamp(), one.seen)
            for one in stand
            if one.unstarted and one.due
        },
        ahead={one.name: one.ahead for one in stand if one.ahead},
        depths={name: client.llen(name) for name in names},
        deadlines=client.zcard(DEADLINES),
        overlooked=tuple(member.decode(errors="replace") for member in past),
        refused={kind.decode(): int(n) for kind, n in client.hgetall(REFUSED).items()},
        unreadable=named_unreadable(client),
        unversioned=_unversioned(client),
    )


def _unversioned(client: Any) -> tuple[str, ...]:
    ids = [member.decode(errors="replace") for member in client.zrange(WAVES, 0, -1)]
    with client.pipeline(transaction=False) as pipe:
        for wave_id in ids:
            pipe.hmget(wave_key(wave_id), "state", "form")
        found = pipe.execute(raise_on_error=False)
    return tuple(
        wave_id
        for wave_id, answer in zip(ids, found, strict=True)
        if isinstance(answer, list) and answer[0] is not None and answer[1] is None
    )


def _saves(client: Any) -> bool | None:
    try:
        return bool(client.config_get("save").get("save"))
    except RedisError:  # managed ones and careful ACLs refuse CONFIG
        return None
