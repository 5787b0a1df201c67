"""What is live, as the decisions in the registry tell it, and which model serves when the live one is damaged."""

from __future__ import annotations

import time
from typing import Any, NamedTuple

from forecasting.errors import ModelError
from forecasting.registry.artifacts import Artifacts, folder
from forecasting.registry.files import Files
from forecasting.registry.history import REFUSED, Event
from forecasting.registry.settings import ModelSettings, check_stage
from pipeline.telemetry.logs import get_logger

log = get_logger("forecasting.registry")


class Live(NamedTuple):
    """The model that serves, and which one should.

    Args:
        model: The estimator.
        version: The one that it is of.
        instead_of: The live version, where that one cannot be loaded.
        why: Why it cannot.
    """

    model: Any
    version: str
    instead_of: str | None = None
    why: str = ""


class Timeline(Artifacts):
    """The versions in one folder or bucket, and the decisions about them."""

    def __init__(self, files: Files, settings: ModelSettings) -> None:
        super().__init__(files)
        self.settings = settings
        # prefix of events -> when it was looked at, the newest
        self._known: dict[str, tuple[float, Event]] = {}
        self._told: set[tuple[str, str, str]] = set()  # versions whose damage was logged

    def live(self, name: str, partition: str, stage: str | None = None) -> str:
        """Return the live version, as of some seconds ago. Raises ModelError when none is, and says why."""
        newest = self.newest(name, partition, stage)
        if newest.live is None:
            raise ModelError(self.nothing_live(name, partition, stage or self.settings.stage))
        return newest.live

    def serving(self, name: str, partition: str) -> Live:
        """Return the live model; where its files are damaged or missing, the one that was live before it.

        Raises ModelError when no version is live, or none that was can be loaded.
        """
        version = self.live(name, partition)
        try:
            return Live(self.load(name, partition, version), version)
        except ModelError as error:
            return self._instead(name, partition, version, error)

    def newest(self, name: str, partition: str, stage: str | None = None) -> Event:
        """Return the newest decision, as of `refresh` seconds ago; an old answer where the root does not answer."""
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
        """Return all decisions, the newest first. Raises ModelError."""
        prefix = _events(name, partition, stage or self.settings.stage)
        return [self._event(key) for key in reversed(self.files.find(prefix))]

    def look(self, name: str, partition: str, stage: str) -> Event:
        """Return the newest decision as it is now. Raises ModelError."""
        return self._look(_events(name, partition, stage))

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

    def append(self, name: str, partition: str, stage: str, event: Event) -> bool:
        """Write a decision unless another one has come first."""
        prefix = _events(name, partition, stage)
        if not self.files.create(_key(prefix, event.number), event.dump()):
            return False
        self._known[prefix] = (time.monotonic(), event)
        return True

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

    def nothing_live(self, name: str, partition: str, stage: str) -> str:
        """Return the text for a model of which nothing is live, with the reason where one was refused."""
        newest = self.newest(name, partition, stage)
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
