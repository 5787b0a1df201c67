"""Which version is live: promotion behind the gate, rollback, history, and what serves when a version is damaged."""

from __future__ import annotations

import getpass
import os
import socket
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from forecasting.errors import ModelError
from forecasting.registry.artifacts import Artifacts, folder, now
from forecasting.registry.files import Files, open_files
from forecasting.registry.gate import Decision, decide
from forecasting.registry.history import PROMOTED, REFUSED, ROLLED_BACK, Event
from forecasting.registry.manifest import Manifest
from forecasting.registry.settings import STAGES, ModelSettings, check_stage
from forecasting.registry.topic import Publish, Topic, message
from pipeline.logs import get_logger

TRIES = 20  # decisions about the same model that may come in between

log = get_logger("forecasting.registry")


class PromotionRefused(ModelError):
    """A version does not pass the gate."""


class Live(NamedTuple):
    """The model that serves, and which one should."""

    model: Any
    version: str
    instead_of: str | None = None  # the live version, where that one cannot be loaded
    why: str = ""  # why it cannot


@dataclass(frozen=True, slots=True)
class Promotion:
    """What came of a promotion or a rollback."""

    event: Event  # the one that made the version live
    changed: bool = True  # False: it was live already
    published: bool = False
    unpublished: str = ""  # why the topic did not get it, where one is configured


class Registry(Artifacts):
    """The models under one root, as one stage sees them."""

    def __init__(
        self,
        root: Path | str | Files,
        settings: ModelSettings | None = None,
        publish: Publish | None = None,
    ) -> None:
        super().__init__(open_files(root) if isinstance(root, str | Path) else root)
        self.settings = settings or ModelSettings()
        self._publish = publish or (Topic(self.settings.topic) if self.settings.topic else None)
        self._known: dict[
            str, tuple[float, Event]
        ] = {}  # prefix of events -> when it was looked at, the newest
        self._told: set[tuple[str, str, str]] = set()  # versions whose damage was logged

    # -- what is live

    def live(self, name: str, partition: str, stage: str | None = None) -> str:
        """Give the live version, as of some seconds ago. Raises ModelError when none is, and says why."""
        newest = self.newest(name, partition, stage)
        if newest.live is None:
            raise ModelError(self._nothing_live(name, partition, stage or self.settings.stage, newest))
        return newest.live

    def serving(self, name: str, partition: str) -> Live:
        """Give the live model; where its files are damaged or missing, the one that was live before it.

        Raises ModelError when no version is live, or none that was can be loaded.
        """
        version = self.live(name, partition)
        try:
            return Live(self.load(name, partition, version), version)
        except ModelError as error:
            return self._instead(name, partition, version, error)

    def newest(self, name: str, partition: str, stage: str | None = None) -> Event:
        """Give the newest decision, as of `refresh` seconds ago; an old answer where the root does not answer."""
        prefix = _events(name, partition, stage or self.settings.stage)
        looked, known = self._known.get(prefix, (0.0, Event()))
        if prefix in self._known and time.monotonic() - looked < self.settings.refresh:
            return known
        try:
            return self._look(prefix)
        except ModelError as error:
            if prefix not in self._known:
                raise
            log.warning("going on with the version that was live", model=name, error=str(error))
            self._known[prefix] = (time.monotonic(), known)
            return known

    def history(self, name: str, partition: str, stage: str | None = None) -> list[Event]:
        """Give all decisions, the newest first. Raises ModelError."""
        prefix = _events(name, partition, stage or self.settings.stage)
        return [self._event(key) for key in reversed(self.files.find(prefix))]

    # -- changing it

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
    ) -> Promotion:
        """Make a version live at a stage, by default this process' own, if it passes the stage's gate.

        `force` goes past the gate, which the history notes, but not past damaged files. A refusal is noted too. What
        is live already stays so. Raises ModelError for a version that is not there or is damaged, PromotionRefused
        with the numbers for one that does not pass.
        """
        stage = check_stage(stage or self.settings.stage)
        candidate = self.check(name, partition, version)
        for _ in range(TRIES):
            last = self._look(_events(name, partition, stage))
            if last.live == version:
                return Promotion(last, changed=False)
            decision = self.judge(candidate, last.live, stage)
            kind = PROMOTED if decision.passed or force else REFUSED
            event = _next(last, kind, version, why, by)
            event = replace(
                event, forced=force and not decision.passed, text=decision.text, metrics=candidate.metrics
            )
            if not self._append(name, partition, stage, event):
                continue
            if kind == REFUSED:
                raise PromotionRefused(
                    f"{name!r} of {partition!r}: version {version} is not made live at {stage}: {decision.text}. "
                    f"{f'{last.live} stays live' if last.live else 'No version is live'}; --force goes past the gate."
                )
            return self._published(name, partition, stage, event)
        raise _contended(name, partition)

    def judge(self, candidate: Manifest, live: str | None, stage: str | None = None) -> Decision:
        """Say whether a version would pass a stage's gate; a damaged live one is no hindrance."""
        try:
            other = None if live is None else self.check(candidate.name, candidate.partition, live)
        except ModelError:
            other = None
        return decide(self.settings.gates[stage or self.settings.stage], candidate, other)

    def rollback(
        self, name: str, partition: str, stage: str | None = None, *, why: str = "", by: str = ""
    ) -> Promotion:
        """Make the version live that was so before; the next rollback goes one further back.

        Versions that were removed or damaged since are left out. Raises ModelError when there is none to go back to.
        """
        stage = check_stage(stage or self.settings.stage)
        for _ in range(TRIES):
            last = self._look(_events(name, partition, stage))
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
            if self._append(name, partition, stage, event):
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
        raise ModelError(self._nothing_live(name, partition, stage, Event()))

    def prune(self, name: str, partition: str, keep: int | None = None) -> list[str]:
        """Remove old versions but for the newest `keep`; gives those that are gone.

        What is live at any stage stays, and so does the version before it.
        """
        keep = self.settings.keep if keep is None else keep
        if keep < 1:
            raise ModelError(f"keep={keep} would remove every version. Keep at least 1.")
        kept = set(self.versions(name, partition)[-keep:])
        for stage in STAGES:
            newest = self._look(_events(name, partition, stage))
            kept.update([*([newest.live] if newest.live else []), *newest.earlier[:1]])
        gone = [version for version in self.versions(name, partition) if version not in kept]
        for version in gone:
            self.remove(name, partition, version)
        return gone

    # -- inside

    def _look(self, prefix: str) -> Event:
        """Read the newest decision under a prefix, which may be the one that is known."""
        known = self._known.get(prefix, (0.0, Event()))[1]
        keys = self.files.find(prefix, _key(prefix, known.number) if known.number else "")
        newest = self._event(keys[-1]) if keys else known
        self._known[prefix] = (time.monotonic(), newest)
        return newest

    def _event(self, key: str) -> Event:
        try:
            return Event.parse(self.files.read(key) or b"")
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError(
                f"the decision {self.files.place}/{key} cannot be read ({error}). Remove that file: the one before it "
                "holds then."
            ) from None

    def _append(self, name: str, partition: str, stage: str, event: Event) -> bool:
        """Write a decision unless another one has come first."""
        prefix = _events(name, partition, stage)
        if not self.files.create(_key(prefix, event.number), event.dump()):
            return False
        self._known[prefix] = (time.monotonic(), event)
        return True

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

    def _instead(self, name: str, partition: str, version: str, error: ModelError) -> Live:
        for earlier in self.newest(name, partition).earlier:
            try:
                found = Live(self.load(name, partition, earlier), earlier, version, str(error))
            except ModelError:
                continue
            if (name, partition, version) not in self._told:
                self._told.add((name, partition, version))
                log.warning(
                    "the live model cannot be loaded, the one before it serves",
                    model=name,
                    partition=partition,
                    live=version,
                    serving=earlier,
                    error=str(error),
                )
            return found
        raise error

    def _is_whole(self, name: str, partition: str, version: str) -> bool:
        try:
            self.check(name, partition, version)
        except ModelError:
            return False
        return True

    def _nothing_live(self, name: str, partition: str, stage: str, newest: Event) -> str:
        head = f"no model of {name!r} for {partition!r} is live at {stage} in {self.files.place}"
        if newest.kind == REFUSED:
            return (
                f"{head}: {newest.version} was refused, {newest.text}. Train on more history, or "
                f"`wave model promote {name} --force`."
            )
        return f"{head}. Run the training flow, or set PIPELINE_MODELS to the place that holds the models."


def _events(name: str, partition: str, stage: str) -> str:
    return f"{folder(name, partition)}live/{check_stage(stage)}/"


def _key(prefix: str, number: int) -> str:
    return f"{prefix}{number:08}.json"


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
    )


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
    """Give this process' registry of the settings, by default those of the environment."""
    found = settings or ModelSettings.from_env()
    # One a process: connections to S3 are not shared with a parent that has forked.
    key = (os.getpid(), repr(found))
    if key not in _registries:
        _registries[key] = Registry(found.root, found)
    return _registries[key]
