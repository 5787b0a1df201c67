"""Tracing: one trace a wave, for those who have a collector of OpenTelemetry's.

PIPELINE_TRACES names the collector, and the extra [tracing] brings what sends to it (`pipeline.telemetry.spans`).
Without the setting nothing of it is imported, and a run costs one call of a function that does nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from importlib.util import find_spec
from typing import Protocol

from pipeline.errors import SettingsError
from pipeline.gate.units import Unit
from pipeline.gate.wave_spec import WaveSpec
from pipeline.settings import Settings

Failed = Iterable[Mapping[str, str | int]]  # what is logged of failures: a text, and how often it came
Told = Callable[[str, Failed], None]  # takes the characters of a run's entities, and their failures

NAME = "PIPELINE_TRACES"


class Tracer(Protocol):
    """Tells a collector what was done, and when."""

    def submitted(self, spec: WaveSpec, began: float) -> None:
        """Report that a wave was submitted, which began at that time (seconds since the epoch)."""

    def run(self, spec: WaveSpec, unit: Unit, attempt: int) -> AbstractContextManager[Told]:
        """Report a run, from now until the end of the `with` block; what it made is told to what this yields."""

    def ended(self, spec: WaveSpec) -> None:
        """Report a wave as a whole, which has just ended."""

    def flush(self) -> None:
        """Send what was not sent yet, because the process ends."""


class _Off:
    """Tells nobody."""

    def submitted(self, spec: WaveSpec, began: float) -> None:
        """Do nothing."""

    def run(self, spec: WaveSpec, unit: Unit, attempt: int) -> AbstractContextManager[Told]:
        """Do nothing."""
        return _NOTHING

    def ended(self, spec: WaveSpec) -> None:
        """Do nothing."""

    def flush(self) -> None:
        """Do nothing."""


_NOTHING: AbstractContextManager[Told] = nullcontext(lambda chars, failed: None)
OFF: Tracer = _Off()


def check(settings: Settings) -> None:
    """Raise SettingsError where PIPELINE_TRACES is not an address, or the extra is not installed."""
    if not settings.traces:
        return
    if not settings.traces.startswith(("http://", "https://")):
        raise SettingsError(
            f"{NAME}={settings.traces!r} is not an address of a collector. Give one that takes OTLP over HTTP: "
            "http://127.0.0.1:4318"
        )
    if find_spec("opentelemetry") is None or find_spec("opentelemetry.exporter") is None:
        raise SettingsError(
            f"{NAME} is set, and what sends traces is not installed. Install it: pip install 'celery-waves[tracing]'"
        )
