"""The checks of `wave doctor` on who works: workers and their queues, beat, keepers, what they may not take. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pipeline.app import KINDS, VISIBILITY
from pipeline.clock import SKEW
from pipeline.errors import listed
from pipeline.flows.flow import Flow
from pipeline.flows.task import CONTROL, SOLO
from pipeline.monitoring.findings import FAIL, OK, WARN, Facts, Finding
from pipeline.waves.presence import BEAT, REFUSED, Process, wrong_clocks

STUCK = 30.0  # seconds past its time after which a deadline was overlooked: keepers look every second
STARTS = 120.0  # seconds within which a wave that is due starts: beat asks for it twice
SHOWN = 3  # of many things, how many are named


def check_workers(facts: Facts) -> list[Finding]:
    """Check that somebody does what there is to do, and may."""
    return [
        limits(facts.flows),
        *queues(facts),
        beat(facts),
        schedules(facts),
        marks(facts.ahead),
        clocks(facts.processes),
        keepers(facts),
        deadlines(facts),
        foreign(facts.refused),
    ]


def needed(version: str, flows: Sequence[Flow]) -> list[str]:
    """Name the queues that some worker must take from."""
    kinds = {task.queue for flow in flows for task in flow.tasks.values()} or set(KINDS)
    return [f"{version}.{kind}" for kind in sorted(kinds | {CONTROL, SOLO})]


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


def schedules(facts: Facts) -> Finding:
    """Check that the waves that were due have started."""
    check = "schedules"
    if not facts.unstarted:
        known = any(flow.schedule for flow in facts.flows)
        return Finding(
            OK, check, "what was due has started" if known else "no flow that is known here has one"
        )
    text = f"due, and not started: {_some(list(facts.unstarted))}"
    if max(facts.unstarted.values()) < STARTS:
        return Finding(OK, check, f"{text}; beat asks for them every minute")
    queue = f"{facts.version}.{CONTROL}"
    advice = (
        f"Beat asks for them every minute: see its log, and that of the workers of queue {queue} for why."
    )
    return Finding(WARN, check, text, advice)


def marks(ahead: Mapping[str, str]) -> Finding:
    """Check that no flow is marked as started for an hour that has not come."""
    if not ahead:
        return Finding(OK, "scheduled marks", "none is of an hour to come")
    return Finding(
        WARN,
        "scheduled marks",
        f"of an hour to come: {_some([f'{name} {hour}' for name, hour in ahead.items()])}",
        "A beat with a wrong clock left them. They stop nothing: beat's next wave of the flow replaces its mark.",
    )


def clocks(processes: Sequence[Process]) -> Finding:
    """Check that the machines of workers and beats agree with Redis on the time."""
    wrong = wrong_clocks(processes)
    if not wrong:
        return Finding(OK, "clocks", f"of workers and beat: within {SKEW:g} s of Redis")
    return Finding(
        WARN,
        "clocks",
        _some(list(wrong.values())),
        "Let NTP set the clocks of these machines. Waves follow Redis' clock alone, but AWS refuses the requests of a "
        "machine whose clock is minutes off, and its logs mislead.",
    )


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
