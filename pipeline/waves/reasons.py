"""Why entities of a wave failed or were skipped, grouped: a text once, with all the entities that it is the text of."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pipeline.gate.status import REASONS
from pipeline.waves.wave import Wave


@dataclass(frozen=True, slots=True)
class Reason:
    """One text, and the entities that it is the text of."""

    status: str
    text: str  # where it names its entity, that is written <entity>
    entities: tuple[str, ...]


def reasons(wave: Wave) -> dict[str, list[Reason]]:
    """Group the texts of what failed or was skipped, the most frequent first: task -> reasons."""
    found: dict[str, list[Reason]] = {}
    errors = wave.errors()
    for task in wave.spec.plan.steps:
        statuses = wave.statuses(task)
        open_still = wave.unrun(task)
        unrun = {
            key: f"{status}: {open_still[key]}" if key in open_still else str(status)
            for key, status in statuses.items()
            if status.reason in REASONS
        }
        texts = unrun | errors.get(task, {})
        groups: dict[tuple[str, str], list[str]] = {}
        for entity, text in sorted(texts.items()):
            groups.setdefault((str(statuses[entity]), _general(text, entity)), []).append(entity)
        if not groups:
            continue
        ordered = sorted(groups.items(), key=lambda group: -len(group[1]))
        found[task] = [Reason(status, text, tuple(entities)) for (status, text), entities in ordered]
    return found


def _general(text: str, entity: str) -> str:
    """Write a text without its entity, so that it is the same for others."""
    return re.sub(rf"(?<![\w-]){re.escape(entity)}(?![\w-])", "<entity>", text)
