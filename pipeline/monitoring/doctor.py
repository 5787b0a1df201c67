"""What is wrong with a deployment, and what to do about it: the checks of `wave doctor`.

Each check is pure: it takes facts, and gives findings. `examine` collects the facts.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from redis.exceptions import RedisError

from pipeline.app import KINDS, VISIBILITY
from pipeline.errors import listed
from pipeline.flows.flow import Flow
from pipeline.flows.task import CONTROL, SOLO
from pipeline.gate.keys import DEADLINES
from pipeline.local.embedded import OLDEST
from pipeline.waves.presence import BEAT, REFUSED, Process, present
from pipeline.waves.runtime import Runtime

OK, WARN, FAIL = "OK", "WARN", "FAIL"
SKEW_WARN, SKEW_FAIL = 1.0, 30.0  # seconds
MEMORY_WARN, MEMORY_FAIL = 0.75, 0.9  # of what Redis may take
STUCK = 30.0  # seconds past its time after which a deadline was overlooked: keepers look every second
SHOWN = 3  # of many things, how many are named

Info = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found."""

    level: str  # OK; WARN: it works, and will not always; FAIL: it does not work, or not for long
    check: str
    text: str
    advice: str = ""  # what to do; "" where all is well


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a deployment."""

    version: str
    flows: tuple[Flow, ...]
    control: Info  # INFO of the control Redis
    stores: Mapping[str, Info] = field(default_factory=dict)  # INFO of each server of a pipe store apart
    saves: bool | None = None  # whether the control Redis writes snapshots; None where it does not tell
    skew: float = 0.0  # seconds that this machine's clock is ahead of Redis'
    processes: tuple[Process, ...] = ()
    depths: Mapping[str, int] = field(default_factory=dict)  # messages that wait in each queue
    deadlines: int = 0
    overlooked: tuple[str, ...] = ()  # deadlines that are long past, the oldest first
    refused: Mapping[str, int] = field(default_factory=dict)  # content type -> messages that workers refused


def examine(runtime: Runtime, flows: Iterable[Flow] = ()) -> list[Finding]:
    """Look at everything. Raises redis' own errors where it does not answer."""
    return diagnose(collect(runtime, tuple(flows)))


def diagnose(facts: Facts) -> list[Finding]:
    """Run all checks."""
    found = [
        version_of("redis version", facts.control),
        role(facts.control),
        eviction(facts.control),
        persistence(facts.control, facts.saves),
        memory("redis memory", facts.control),
    ]
    for name, info in facts.stores.items():
        found += [version_of(f"store version ({name})", info), store_eviction(name, info)]
        found.append(memory(f"store memory ({name})", info))
    return [
        *found,
        clock(facts.skew),
        limits(facts.flows),
        *queues(facts),
        beat(facts),
        keepers(facts),
        deadlines(facts),
        foreign(facts.refused),
    ]


def collect(runtime: Runtime, flows: tuple[Flow, ...]) -> Facts:
    """Ask Redis for all that the checks need."""
    client: Any = runtime.client
    before = time.time()
    seconds, micros = client.time()
    skew = (before + time.time()) / 2 - (seconds + micros / 1e6)
    version = runtime.settings.version or "main"
    names = needed(version, flows)
    past = client.zrangebyscore(DEADLINES, "-inf", (seconds - STUCK) * 1000, start=0, num=100)
    return Facts(
        version=version,
        flows=flows,
        control=client.info(),
        stores=runtime.store_info(),
        saves=_saves(client),
        skew=skew,
        processes=tuple(present(client)),
        depths={name: client.llen(name) for name in names},
        deadlines=client.zcard(DEADLINES),
        overlooked=tuple(member.decode() for member in past),
        refused={kind.decode(): int(n) for kind, n in client.hgetall(REFUSED).items()},
    )


def needed(version: str, flows: Sequence[Flow]) -> list[str]:
    """Name the queues that some worker must take from."""
    kinds = {task.queue for flow in flows for task in flow.tasks.values()} or set(KINDS)
    return [f"{version}.{kind}" for kind in sorted(kinds | {CONTROL, SOLO})]


def _saves(client: Any) -> bool | None:
    try:
        return bool(client.config_get("save").get("save"))
    except RedisError:  # managed ones and careful ACLs refuse CONFIG
        return None


def version_of(check: str, info: Info) -> Finding:
    """Check the version of a server."""
    found = str(info.get("redis_version", "0"))
    parts = tuple(int(part) for part in found.split(".")[:2] if part.isdigit())
    if parts >= OLDEST:
        return Finding(OK, check, found)
    oldest = ".".join(map(str, OLDEST))
    return Finding(FAIL, check, f"{found} is older than {oldest}", f"Upgrade it to {oldest} or newer.")


def role(info: Info) -> Finding:
    """Check that the control Redis can be written to."""
    if info.get("role") != "slave":
        return Finding(OK, "redis role", f"primary, {info.get('connected_slaves', 0)} replicas")
    return Finding(
        FAIL,
        "redis role",
        "it is a replica: every write is refused (READONLY)",
        "Let REDIS_URL name the primary, or the Sentinels: sentinel://host:26379;host:26379/0?master=NAME.",
    )


def eviction(info: Info) -> Finding:
    """Check that the control Redis never throws keys away."""
    policy = str(info.get("maxmemory_policy", "unknown"))
    if policy == "noeviction":
        return Finding(OK, "eviction", policy)
    level = FAIL if int(info.get("maxmemory", 0)) else WARN
    return Finding(
        level,
        "eviction",
        f"{policy}: when memory is short, Redis throws away waves and messages",
        "CONFIG SET maxmemory-policy noeviction. Only a pipe store of its own may evict.",
    )


def store_eviction(name: str, info: Info) -> Finding:
    """Check that a pipe store that evicts begins with what would go soonest anyway."""
    policy, check = str(info.get("maxmemory_policy", "unknown")), f"store eviction ({name})"
    if policy in ("noeviction", "volatile-ttl") or not int(info.get("maxmemory", 0)):
        return Finding(OK, check, policy)
    return Finding(
        WARN,
        check,
        f"{policy}: when memory is short, pipes of any age vanish",
        "CONFIG SET maxmemory-policy noeviction (tasks fail with a text then) or volatile-ttl (the oldest go first).",
    )


def persistence(info: Info, saves: bool | None) -> Finding:
    """Check that a restart of Redis loses nothing."""
    check = "persistence"
    broken = [
        name for name in ("aof_last_write_status", "rdb_last_bgsave_status") if info.get(name, "ok") != "ok"
    ]
    if broken:
        return Finding(
            FAIL,
            check,
            f"the last write to disk failed ({listed(broken)})",
            "See Redis' log: is its disk full?",
        )
    if int(info.get("aof_enabled", 0)):
        return Finding(OK, check, "append-only file")
    advice = "CONFIG SET appendonly yes, or keep a replica: a restart otherwise loses the open waves."
    if saves:
        return Finding(WARN, check, "snapshots only: a restart loses the last minutes", advice)
    if int(info.get("connected_slaves", 0)):
        return Finding(OK, check, "no file, a replica")
    return Finding(WARN, check, "none that Redis tells of" if saves is None else "none", advice)


def memory(check: str, info: Info) -> Finding:
    """Check how much memory is left."""
    used, most = int(info.get("used_memory", 0)), int(info.get("maxmemory", 0))
    total = most or int(info.get("total_system_memory", 0))
    share = used / total if total else 0.0
    text = f"{used / 2**20:,.0f} MB of {total / 2**20:,.0f} MB" + ("" if most else " (of the machine's)")
    if share < MEMORY_WARN:
        return Finding(OK, check, text)
    advice = (
        "Raise maxmemory or take a larger machine; shorten the tasks' ttl; give pipes a store of their own "
        "(PIPELINE_STORE_URL)."
    )
    return Finding(FAIL if share >= MEMORY_FAIL else WARN, check, f"{text}: {share:.0%}", advice)


def clock(skew: float) -> Finding:
    """Check that this machine and Redis agree on the hour."""
    text = f"this machine is {abs(skew):.1f} s {'ahead of' if skew > 0 else 'behind'} Redis"
    if abs(skew) < SKEW_WARN:
        return Finding(OK, "clock", f"within {SKEW_WARN:g} s of Redis")
    advice = "Let NTP set the clocks of both. Deadlines follow Redis' clock, but hours are begun by this one."
    return Finding(FAIL if abs(skew) >= SKEW_FAIL else WARN, "clock", text, advice)


def limits(flows: Sequence[Flow]) -> Finding:
    """Check that no task may run for longer than its message is waited for."""
    check = "time limits"
    if not flows:
        return Finding(OK, check, "no flows were named: set PIPELINE_FLOWS, or give -F")
    over = [f"{f.name}.{t.name}" for f in flows for t in f.tasks.values() if t.time_limit >= VISIBILITY]
    if over:
        return Finding(
            FAIL,
            check,
            f"as long as the visibility timeout of {VISIBILITY / 3600:g} h: {_some(over)}",
            "Give these tasks a shorter time_limit, and more shards.",
        )
    longest = max((t.time_limit for f in flows for t in f.tasks.values()), default=0.0)
    return Finding(
        OK, check, f"{longest:g} s at most; messages are redelivered after {VISIBILITY / 3600:g} h"
    )


def queues(facts: Facts) -> list[Finding]:
    """Check that somebody takes from each queue."""
    found = []
    for name in needed(facts.version, facts.flows):
        takers = [p for p in facts.processes if name in p.queues]
        slots, depth = sum(p.slots for p in takers), facts.depths.get(name, 0)
        text = f"{len(takers)} workers, {slots} slots, {depth:,} messages wait"
        if takers:
            found.append(Finding(OK, f"queue {name}", text))
            continue
        busy = depth > 0 or facts.deadlines > 0
        advice = f"Start a worker with -Q {name}"
        if name.endswith(f".{SOLO}"):
            busy = depth > 0
            advice += " -c 1: what has killed workers is run there alone, and waits for its expiry otherwise."
        else:
            advice += ", or let autoscaling do so; waves end by their expiry otherwise."
        found.append(Finding(FAIL if busy else WARN, f"queue {name}", text, advice))
    return found


def beat(facts: Facts) -> Finding:
    """Check that beat runs where flows have schedules."""
    found = [p for p in facts.processes if p.kind == BEAT and p.version == facts.version]
    scheduled = [flow.name for flow in facts.flows if flow.schedule]
    if found:
        return Finding(OK, "beat", ", ".join(f"{p.host} pid {p.pid}" for p in found))
    if scheduled:
        return Finding(
            FAIL,
            "beat",
            f"none for version {facts.version}: nobody starts {_some(scheduled)}",
            "Start one: celery -A pipeline.app beat (two do no harm).",
        )
    return Finding(OK, "beat", "none, and no flow that is known here has a schedule")


def keepers(facts: Facts) -> Finding:
    """Check that somebody looks at the deadlines."""
    count = sum(p.kind != BEAT for p in facts.processes)
    if count:
        return Finding(OK, "keepers", f"{count} look at {facts.deadlines:,} deadlines")
    return Finding(
        FAIL if facts.deadlines else WARN,
        "keepers",
        f"none looks at {facts.deadlines:,} deadlines",
        "Keep a worker or beat running: whatever is lost is found by keepers, and waves expire by them.",
    )


def deadlines(facts: Facts) -> Finding:
    """Check that no deadline is overlooked."""
    if not facts.overlooked:
        return Finding(OK, "deadlines", "none is overdue")
    return Finding(
        FAIL,
        "deadlines",
        f"{len(facts.overlooked)} are more than {STUCK:g} s past: {_some(facts.overlooked)}",
        "See the logs of workers and beat: their keepers do not get through to Redis, or none runs.",
    )


def foreign(refused: Mapping[str, int]) -> Finding:
    """Check that nobody sends what workers must not take."""
    count = sum(refused.values())
    if not count:
        return Finding(OK, "messages", "none was refused")
    return Finding(
        WARN,
        "messages",
        f"{count:,} were refused, and not run: {listed(refused)}",
        f"Find who else writes to these queues, and close Redis to them. DEL {REFUSED} begins to count anew.",
    )


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
