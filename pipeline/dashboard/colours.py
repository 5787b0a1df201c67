"""How statuses are drawn: bars of kinds, and a word for a wave as a whole. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pipeline.gate.status_groups import by_kind


def shares(counts: Mapping[str, int], width: int, running: int = 0) -> list[tuple[str, float, float]]:
    """Cut a bar of a width into kinds: (kind, where it begins, how wide it is); none is narrower than 2."""
    found = list(by_kind(counts, running).items())
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
    """Return in a word how a wave went: open, good, flawed (something failed or was skipped), or bad (ended early)."""
    if state != "closed":
        return "open"
    if reason not in ("done", "empty"):
        return "bad"
    found = dict(counts)
    return "flawed" if found.get("failed") or found.get("skipped") else "good"
