"""The check of `wave doctor` on what lies in Redis: its form, and what could not be read. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.forms import FORM, UNREADABLE
from pipeline.monitoring.findings import FAIL, OK, WARN, Facts, Finding

SHOWN = 3  # of many things, how many are named


def check_records(facts: Facts) -> list[Finding]:
    """Check that all that is there can be read, and is read by all."""
    return [*_old(facts), *_damaged(facts.unreadable)] or [_written(facts)]


def _old(facts: Facts) -> list[Finding]:
    """Name what 0.1.0 wrote, and who still runs it."""
    them = [f"{p.kind} {p.host} pid {p.pid}" for p in facts.processes if p.form == 0]
    found = [*(f"wave {wave_id}" for wave_id in facts.unversioned), *them]
    if not found:
        return []
    return [
        Finding(
            FAIL if them or facts.deadlines else WARN,
            "records of 0.1.0",
            f"this code cannot read them, nor 0.1.0 what it writes: {_some(found)}",
            "From 0.1.0 one upgrades by draining: stop the new processes and the old beat, let the old workers end "
            "their waves, or cancel them with the old command; then stop these and start the new ones. Waves that "
            "have ended are forgotten when their ttl is over.",
        )
    ]


def _damaged(texts: Sequence[str]) -> list[Finding]:
    if not texts:
        return []
    return [
        Finding(
            WARN,
            "records",
            f"{len(texts):,} could not be read within the last day, and were set aside: {_some(texts)}",
            f"All else goes on. Find who wrote them; `redis-cli ZRANGE {UNREADABLE} 0 -1` lists all, DEL "
            f"{UNREADABLE} forgets them.",
        )
    ]


def _written(facts: Facts) -> Finding:
    written = min([FORM, *(process.form for process in facts.processes)])
    behind = sum(process.form < FORM for process in facts.processes)
    text = f"new waves have form {written}"
    return Finding(
        OK, "records", text + (f", not {FORM}: {behind} processes do not read it yet" if behind else "")
    )


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
