"""Serving a model: its entry in the catalogue, and workers as processes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from pipeline.local.supervise import Child, Processes
from pipeline.serving.app import MODEL, SLOTS, worker_command
from pipeline.serving.catalogue import Catalogue, Entry, Options, Source
from pipeline.serving.names import Place


def add_model(catalogue: Catalogue, model: str, sources: Iterable[Source], **options: Any) -> None:
    """Add a model with the versions 1, 2, ...; the first is live."""

    def change(entry: Entry) -> Entry:
        for number, source in enumerate(sources, 1):
            entry = entry.with_version(str(number), source)
        return replace(entry, options=Options(**options))

    catalogue.change(model, change, new=True)


def start_worker(processes: Processes, place: Place, name: str, env: Mapping[str, str], slots: int) -> Child:
    """Start a worker that holds a model."""
    command = [*worker_command(place.queue), "-n", f"{name}@%h"]
    return processes.start(name, command, {**env, MODEL: place.model, SLOTS: str(slots)})
