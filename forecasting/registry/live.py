"""Which version is live: promotion behind the gate, rollback, history, and what serves when a version is damaged."""

from __future__ import annotations

import getpass
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from forecasting.errors import ModelError
from forecasting.registry.artifacts import now
from forecasting.registry.files import Files, open_files
from forecasting.registry.history import PROMOTED, REFUSED, ROLLED_BACK, Event
from forecasting.registry.manifest import Manifest
from forecasting.registry.promotion_gate import Decision, decide
from forecasting.registry.settings import STAGES, ModelSettings, check_stage
from forecasting.registry.sns_topic import Publish, Topic, message
from forecasting.registry.timeline import Timeline
from pipeline.telemetry.logs import get_logger

TRIES = 20  # decisions about the same model that may come in between

log = get_logger("forecasting.registry")


class PromotionRefused(ModelError):
    """A version does not pass the gate."""


@dataclass(frozen=True, slots=True)
class Promotion:
    """What came of a promotion or a rollback.

    Args:
        event: The one that made the version live.
        changed: False: it was live already.
        published: Whether the topic got it.
        unpublished: Why it did not, where one is configured.
    """

    event: Event
    changed: bool = True
    published: bool = False
    unpublished: str = ""


class Measurement(Protocol):
    """What a backtest has found of a recipe. `forecasting.Measured` is one."""

    @property
    def recipe(self) -> str:
        """The digest of the class and parameters that were measured."""

    @property
    def live(self) -> str | None:
        """The version that it was measured against."""

    @property
    def metrics(self) -> Mapping[str, float]:
        """What the gate reads."""


class Registry(Timeline):
    """The models under one root, as one stage sees them.

    Args:
        root: A folder, or s3://bucket/prefix.
        settings: The stage, its gate, the topic; what is not set in the environment by default.
        publish: Tells others of promotions; by default the settings' topic.

    Example:
        >>> registry = Registry("models")
        >>> registry.names(), registry.versions("load", "default")
        ({}, [])
    """

    def __init__(
        self,
        root: Path | str | Files,
        settings: ModelSettings | None = None,
        publish: Publish | None = None,
    ) -> None:
        super().__init__(
            open_files(root) if isinstance(root, str | Path) else root, settings or ModelSettings()
        )
        self._publish = publish or (Topic(self.settings.topic) if self.settings.topic else None)

    def promote(
        self,
        name: str,
        partition: str,
        version: str,
        stage: str | None = None,
        *,
        why: str = "",
        by: str = "",
        force: bool = False,
        automatic: bool = False,
        measured: Measurement | None = None,
    ) -> Promotion:
        """Make a version live at a stage, if it passes the stage's gate. What is live already stays so.

        Args:
            stage: This process' own by default.
            why: For the history.
            by: Who; by default the user and the machine.
            force: Go past the gate, which the history notes, but not past damaged files.
            automatic: By a training wave: refused after a rollback until somebody promotes by hand (what was taken back
                for a reason does not return overnight), and for a model with older data than the live one's, as a
                backfill trains.
            measured: A newer measurement of the same recipe than the manifest's.

        Raises:
            ModelError: The version is not there or is damaged, or `measured` is of another recipe.
            PromotionRefused: It does not pass; with the numbers, and noted in the history.
        """
        stage = check_stage(stage or self.settings.stage)
        candidate = _measured(self.check(name, partition, version), measured)
        for _ in range(TRIES):
            last = self.look(name, partition, stage)
            if last.live == version:
                return Promotion(last, changed=False)
            decision = self._automatic(candidate, last) if automatic else None
            decision = decision or self.judge(candidate, last.live, stage)
            kind = PROMOTED if decision.passed or force else REFUSED
            event = _next(last, kind, version, why, by)
            event = replace(
                event, forced=force and not decision.passed, text=decision.text, metrics=candidate.metrics
            )
            if not self.append(name, partition, stage, event):
                continue
            if kind == REFUSED:
                raise PromotionRefused(
                    f"{name!r} of {partition!r}: version {version} is not made live at {stage}: {decision.text}. "
                    f"{f'{last.live} stays live' if last.live else 'No version is live'}; --force goes past the gate."
                )
            return self._published(name, partition, stage, event)
        raise _contended(name, partition)

    def judge(self, candidate: Manifest, live: str | None, stage: str | None = None) -> Decision:
        """Return whether a version would pass a stage's gate; a damaged live one is no hindrance."""
        try:
            other = None if live is None else self.check(candidate.name, candidate.partition, live)
        except ModelError:
            other = None
        return decide(self.settings.gates[stage or self.settings.stage], candidate, other)

    def _automatic(self, candidate: Manifest, last: Event) -> Decision | None:
        """Return why a training wave may not make a version live, None where the gate is to say."""
        if last.held:
            return _held(last)
        try:
            live = (
                None if last.live is None else self.manifest(candidate.name, candidate.partition, last.live)
            )
        except ModelError:  # a damaged one
            return None
        if live is None or candidate.last >= live.last:
            return None
        return Decision(False, f"its data end at {candidate.last}, before those of the live {live.version}")

    def rollback(
        self, name: str, partition: str, stage: str | None = None, *, why: str = "", by: str = ""
    ) -> Promotion:
        """Make the version live that was so before; the next rollback goes one further back.

        Versions that were removed or damaged since are left out.

        Args:
            stage: This process' own by default.
            why: For the history.
            by: Who; by default the user and the machine.

        Raises:
            ModelError: There is none to go back to.
        """
        stage = check_stage(stage or self.settings.stage)
        for _ in range(TRIES):
            last = self.look(name, partition, stage)
            version = next((v for v in last.earlier if self._is_whole(name, partition, v)), None)
            if version is None:
                raise ModelError(
                    f"{name!r} of {partition!r} has no earlier version to go back to at {stage}: "
                    f"{f'{last.live} is the first one' if last.live else 'nothing is live'}. Promote another one, "
                    "or train again."
                )
            event = replace(
                _next(last, ROLLED_BACK, version, why, by),
                metrics=self.manifest(name, partition, version).metrics,
            )
            if self.append(name, partition, stage, event):
                return self._published(name, partition, stage, event)
        raise _contended(name, partition)

    def publish(self, name: str, partition: str, stage: str | None = None) -> Promotion:
        """Publish once more what is live. Raises ModelError when no topic is configured, or nothing is live."""
        if self._publish is None:
            raise ModelError("no topic is configured. Set PIPELINE_MODELS_TOPIC to its ARN.")
        stage = check_stage(stage or self.settings.stage)
        for event in self.history(name, partition, stage):
            if event.kind != REFUSED:
                return self._published(name, partition, stage, event)
        raise ModelError(self.nothing_live(name, partition, stage))

    def prune(self, name: str, partition: str, keep: int | None = None) -> list[str]:
        """Remove old versions; what is live at any stage stays, and so does the version before it.

        Args:
            keep: The newest versions that stay; by default the settings'.

        Returns:
            Those that are gone.

        Raises:
            ModelError: `keep` is below 1.
        """
        keep = self.settings.keep if keep is None else keep
        if keep < 1:
            raise ModelError(f"keep={keep} would remove every version. Keep at least 1.")
        kept = set(self.versions(name, partition)[-keep:])
        for stage in STAGES:
            newest = self.look(name, partition, stage)
            kept.update([*([newest.live] if newest.live else []), *newest.earlier[:1]])
        gone = [version for version in self.versions(name, partition) if version not in kept]
        for version in gone:
            self.remove(name, partition, version)
        return gone

    def _published(self, name: str, partition: str, stage: str, event: Event) -> Promotion:
        """Publish a decision that stands already: what goes wrong here is told, and changes nothing."""
        if self._publish is None:
            return Promotion(event)
        body = message(event, name, partition, stage, self.place(name, partition, event.version))
        try:
            self._publish(body)
        except ModelError as error:
            log.warning(
                "a promotion was not published",
                model=name,
                partition=partition,
                stage=stage,
                error=str(error),
            )
            return Promotion(event, unpublished=str(error))
        return Promotion(event, published=True)

    def _is_whole(self, name: str, partition: str, version: str) -> bool:
        try:
            self.check(name, partition, version)
        except ModelError:
            return False
        return True


def _next(last: Event, kind: str, version: str, why: str, by: str) -> Event:
    return Event(
        number=last.number + 1,
        kind=kind,
        version=version,
        before=last.live,
        stack=last.stack_after(kind, version),
        by=by or me(),
        at=now(),
        why=why,
        held=kind == ROLLED_BACK or (kind == REFUSED and last.held),
    )


def _held(last: Event) -> Decision:
    return Decision(
        False,
        f"{last.before or 'a version'} was rolled back, and a training wave does not go past that. Promote one by hand "
        "to go on"
        if last.kind == ROLLED_BACK
        else last.text,
    )


def _measured(manifest: Manifest, measured: Measurement | None) -> Manifest:
    if measured is None:
        return manifest
    if measured.recipe != manifest.recipe:
        raise ModelError(
            f"the backtest measured another model than {manifest.version}: their classes or parameters differ. Run it "
            "with the code that trained this version, or train again."
        )
    return replace(manifest, metrics=measured.metrics, against=measured.live)


def _contended(name: str, partition: str) -> ModelError:
    return ModelError(
        f"{name!r} of {partition!r}: others decide about it all the time, {TRIES} times just now. Try again."
    )


def me() -> str:
    """Name the user and the machine."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"


_registries: dict[tuple[int, str], Registry] = {}


def process_registry(settings: ModelSettings | None = None) -> Registry:
    """Return this process' registry of the settings, by default those of the environment."""
    found = settings or ModelSettings.from_env()
    # One a process: connections to S3 are not shared with a parent that has forked.
    key = (os.getpid(), repr(found))
    if key not in _registries:
        _registries[key] = Registry(found.root, found)
    return _registries[key]
