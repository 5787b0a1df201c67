"""How statuses are shown: one of a few kinds, each with a colour and a word. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

# In the order in which they stand in a bar. What ended well first, what is open last.
KINDS = ("finished", "degraded", "skipped", "failed", "running", "pending")


def kind(status: str) -> str:
    """Give the kind of a status as it is written, such as "finished (late)" or "skipped: missing input"."""
    word = status.split(":")[0].split(" ")[0]
    if word == "finished" and ("degraded" in status or "late" in status):
        return "degraded"
    return word


def parts(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    """Sum up statuses by kind, in the order of `KINDS`, without those that are not there."""
    found = dict.fromkeys(KINDS, 0)
    for status, n in counts.items():
        found[kind(status)] += n
    return [(name, n) for name, n in found.items() if n]


def shares(counts: Mapping[str, int], width: int) -> list[tuple[str, float, float]]:
    """Cut a bar of a width into kinds: (kind, where it begins, how wide it is); none is narrower than 2."""
    found = parts(counts)
    total = sum(n for _, n in found)
    if not total:
        return []
    least = min(2.0, width / len(found))
    wide = [max(width * n / total, least) for _, n in found]
    scale = width / sum(wide)
    starts = [sum(wide[:i]) * scale for i in range(len(wide))]
    return [
        (name, round(x, 1), round(w * scale, 1)) for (name, _), x, w in zip(found, starts, wide, strict=True)
    ]


def verdict(state: str, reason: str | None, counts: Sequence[tuple[str, int]]) -> str:
    """Say in a word how a wave went: open, good, flawed (something failed or was skipped), or bad (ended early)."""
    if state != "closed":
        return "open"
    if reason not in ("done", "empty"):
        return "bad"
    found = dict(counts)
    return "flawed" if found.get("failed") or found.get("skipped") else "good"
