"""Kinds of statuses: the few that are told apart where a person looks, on pages and in a terminal. Pure."""

from __future__ import annotations

from collections.abc import Mapping

# In the order in which they stand in a bar. What ended well first, what is open last.
KINDS = ("finished", "degraded", "skipped", "failed", "running", "pending")


def kind(status: str) -> str:
    """Return the kind of a status as it is written, such as "finished (late)" or "skipped: missing input"."""
    word = status.split(":")[0].split(" ")[0]
    if word == "finished" and ("degraded" in status or "late" in status):
        return "degraded"
    return word


def by_kind(counts: Mapping[str, int], running: int = 0) -> dict[str, int]:
    """Sum up statuses by kind, in the order of `KINDS`, without those that are not there.

    `running` says how many of the pending entities are run now.
    """
    found = dict.fromkeys(KINDS, 0)
    for status, n in counts.items():
        found[kind(status)] += n
    moved = min(running, found["pending"])
    found["running"] += moved
    found["pending"] -= moved
    return {name: n for name, n in found.items() if n}
