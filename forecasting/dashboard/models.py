"""What the pages about models show: what is live at each stage, what could be, and what was decided."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from forecasting.errors import ModelError
from forecasting.registry import STAGES, Decision, Event, Manifest, Registry, decide
from forecasting.registry.lookup import partitions_of
from forecasting.registry.settings import check_stage

PAGE = 50  # models of one page
VERSIONS = 30  # of one model that are listed, the newest
EVENTS = 50  # decisions that are listed, the newest
ERROR, NAIVE = "mae", "naive_mae"


@dataclass(frozen=True, slots=True)
class Line:
    """One model in the list."""

    pipe: str
    partition: str
    live: Mapping[str, str | None]  # stage -> version
    manifest: Manifest | None  # of what is live at this process' own stage
    age: float | None  # seconds since that was made
    damage: str = ""  # why its manifest cannot be read


@dataclass(frozen=True, slots=True)
class Listed:
    """Some of the models."""

    place: str
    stage: str
    query: str
    number: int  # of the page, from 1
    pages: int
    count: int  # models that match
    lines: Sequence[Line]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A version of a model."""

    manifest: Manifest
    live_at: Sequence[str]  # stages
    verdict: Decision | None  # what the stage's gate says of it; None for what is live there


@dataclass(frozen=True, slots=True)
class ModelView:
    """A model at one stage."""

    pipe: str
    partition: str
    stage: str
    place: str
    newest: Event  # the newest decision
    live: Manifest | None
    age: float | None
    damage: str
    candidates: Sequence[Candidate]  # the newest first
    more: int  # versions that are not listed
    history: Sequence[Event]


@dataclass(frozen=True, slots=True)
class Question:
    """A decision that is about to be made."""

    what: str  # "promote" or "rollback"
    pipe: str
    partition: str
    stage: str
    before: str | None  # what is live
    candidate: Manifest
    live: Manifest | None
    verdict: Decision | None  # of the gate; none for a rollback


def listed(registry: Registry, query: str = "", number: int = 1) -> Listed:
    """Return one page of the models whose pipe or partition holds a text."""
    words = query.strip().lower()
    found = [
        (pipe, partition)
        for pipe, partitions in registry.names().items()
        for partition in partitions
        if words in f"{pipe} {partition}".lower()
    ]
    pages = max(math.ceil(len(found) / PAGE), 1)
    number = min(max(number, 1), pages)
    shown = found[(number - 1) * PAGE : number * PAGE]
    lines = [_line(registry, pipe, partition) for pipe, partition in shown]
    stage = registry.settings.stage
    return Listed(registry.files.place, stage, query, number, pages, len(found), lines)


def _line(registry: Registry, pipe: str, partition: str) -> Line:
    live = {stage: registry.newest(pipe, partition, stage).live for stage in STAGES}
    manifest, damage = _manifest(registry, pipe, partition, live[registry.settings.stage])
    return Line(pipe, partition, live, manifest, age_of(manifest), damage)


def _manifest(
    registry: Registry, pipe: str, partition: str, version: str | None
) -> tuple[Manifest | None, str]:
    try:
        return (None if version is None else registry.manifest(pipe, partition, version)), ""
    except ModelError as error:
        return None, str(error)


def age_of(manifest: Manifest | None) -> float | None:
    """Return the seconds since a version was made."""
    if manifest is None:
        return None
    try:
        return (datetime.now(UTC) - datetime.fromisoformat(manifest.made)).total_seconds()
    except (TypeError, ValueError):
        return None


def look_at(registry: Registry, pipe: str, partition: str, stage: str) -> ModelView:
    """Look at one model as it is now. Raises UnknownName, SettingsError or ModelError."""
    partitions_of(registry, pipe, partition)
    newest = {each: registry.look(pipe, partition, each) for each in STAGES}
    own = newest[check_stage(stage)]
    live, damage = _manifest(registry, pipe, partition, own.live)
    versions = registry.versions(pipe, partition)[::-1]
    manifests = [_manifest(registry, pipe, partition, version)[0] for version in versions[:VERSIONS]]
    candidates = [
        Candidate(
            manifest,
            [each for each in STAGES if newest[each].live == manifest.version],
            None if manifest.version == own.live else decide(registry.settings.gates[stage], manifest, live),
        )
        for manifest in manifests
        if manifest is not None
    ]
    history = registry.history(pipe, partition, stage)[:EVENTS]
    return ModelView(
        pipe,
        partition,
        stage,
        registry.files.place,
        own,
        live,
        age_of(live),
        damage,
        candidates,
        max(len(versions) - VERSIONS, 0),
        history,
    )


def ask(registry: Registry, what: str, pipe: str, partition: str, stage: str, version: str) -> Question:
    """Prepare a decision: what it would change, and what the gate says. Raises ModelError, UnknownName."""
    partitions_of(registry, pipe, partition)
    newest = registry.look(pipe, partition, check_stage(stage))
    if what == "rollback":
        if not newest.earlier:
            raise ModelError(
                f"{pipe!r} of {partition!r} has no earlier version to go back to at {stage}. Promote another one."
            )
        version = newest.earlier[0]
    candidate = registry.manifest(pipe, partition, version)
    live, _ = _manifest(registry, pipe, partition, newest.live)
    verdict = registry.judge(candidate, newest.live, stage) if what == "promote" else None
    return Question(what, pipe, partition, stage, newest.live, candidate, live, verdict)
