"""The checks of `wave doctor` on Redis: version, role, eviction, persistence, memory, clock. Pure."""

from __future__ import annotations

from pipeline.errors import listed
from pipeline.local.embedded import OLDEST
from pipeline.monitoring.findings import FAIL, OK, WARN, Facts, Finding, Info

SKEW_WARN, SKEW_FAIL = 1.0, 30.0  # seconds
MEMORY_WARN, MEMORY_FAIL = 0.75, 0.9  # of what Redis may take


def check_redis(facts: Facts) -> list[Finding]:
    """Check the control Redis, the servers of a pipe store of its own, and the clock."""
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
    return [*found, clock(facts.skew)]


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
    advice = (
        "Let NTP set the clocks of both. Waves follow Redis' clock alone, but AWS refuses the requests of a machine "
        "whose clock is minutes off, and its logs mislead."
    )
    return Finding(FAIL if abs(skew) >= SKEW_FAIL else WARN, "clock", text, advice)
