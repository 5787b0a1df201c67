"""What became of a wave, looked at once it has ended."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from pipeline import Wave
from pipeline.gate.records import WaveInfo
from pipeline.waves.runtime import Runtime
from tests.chaos import checks
from tests.chaos.faults import BAD, POOLS, guilty, told

TEXTS = ("SystemExit", "KeyboardInterrupt")


@dataclass(frozen=True, slots=True)
class Outcome:
    """The figures of one wave."""

    info: WaveInfo
    status_errors: int
    pipe_errors: int
    window_errors: int
    left_out_errors: (
        int  # bad entities of the source that were not left out and named, or good ones that were
    )
    finished: int
    surplus: int
    reruns: int
    claims: int  # that are left
    unrun: Counter[str]  # entities of tasks that its expiry left without a run
    guilty: Counter[str]  # what its guilty entities did and how they stand

    @property
    def clean(self) -> bool:
        """Whether all is as it must be."""
        return not (self.status_errors or self.pipe_errors or self.window_errors or self.claims)


def outcome(wave: Wave, runtime: Runtime) -> Outcome:
    """Look at a wave that has ended."""
    finished, pipe_errors, surplus = checks.pipes(wave, runtime)
    reruns, claims = checks.attempts(wave, runtime.client)
    return Outcome(
        wave.info(),
        checks.status_errors(wave),
        pipe_errors,
        checks.window_errors(wave, runtime),
        left_out_errors(wave),
        finished,
        surplus,
        reruns,
        claims,
        unrun(wave),
        ends(wave),
    )


def left_out_errors(wave: Wave) -> int:
    """Count by how many entities a wave differs from the good ones of its source, and what it names from the bad."""
    missing = told("entities") - sum(wave.spec.sizes)
    return abs(missing) + abs(wave.left_out().count - BAD * told("bad_entities"))


def unrun(wave: Wave) -> Counter[str]:
    """Count the entities of each task that are expired."""
    reasons = {name: [s.reason for s in wave.statuses(name).values()] for name in wave.spec.plan.steps}
    return Counter({name: found.count("expired") for name, found in reasons.items() if "expired" in found})


def ends(wave: Wave) -> Counter[str]:
    """Count the guilty entities by what they do, how they stand, and whether the text of an exit was kept."""
    found: Counter[str] = Counter()
    for task, pool in POOLS.items():
        statuses, errors = wave.statuses(task), wave.errors(task).get(task, {})
        for key, fault in guilty(task, wave.date).items():
            named = any(text in errors.get(key, "") for text in TEXTS)
            found[f"{fault} ({pool}) {statuses[key]}{', by its name' * named}"] += 1
    return found


def total(outcomes: Iterable[Outcome], name: str) -> int:
    """Add up a figure."""
    return sum(getattr(one, name) for one in outcomes)
