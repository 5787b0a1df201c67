"""What other installed packages add to metrics, pages and the API: objects that they name by entry points."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import entry_points
from typing import Any

from pipeline.telemetry.logs import get_logger

log = get_logger("pipeline.extensions")


def installed(group: str, tell: Callable[..., None] = log.info) -> list[Any]:
    """Load what is named in a group of entry points; what lacks an extra is left out, which `tell` writes to a log."""
    found = []
    for entry in sorted(entry_points(group=group)):
        try:
            found.append(entry.load())
        except (ImportError, AttributeError) as error:  # or a module of the user hides it
            tell("left out: its extra is not installed", group=group, part=entry.name, error=str(error))
    return found
