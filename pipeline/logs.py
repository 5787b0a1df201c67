"""Loggers that go through Python's own logging, with names and values: `log.info("wave has ended", wave=...)`.

A program that uses the library decides by its logging settings what is shown; nothing is printed by itself.
"""

from __future__ import annotations

import logging
from typing import Any

import structlog


def get_logger(name: str) -> Any:
    """Give the logger of a module. Values bound by `structlog.contextvars` are on each of its lines."""
    return structlog.wrap_logger(
        logging.getLogger(name),
        wrapper_class=structlog.stdlib.BoundLogger,
        processors=[structlog.stdlib.filter_by_level, structlog.contextvars.merge_contextvars, _line],
    )


def _line(_logger: Any, _method: str, values: Any) -> tuple[tuple[str], dict[str, Any]]:
    """Write a line as `what happened: name=value name=value`, and leave a traceback to logging."""
    exc_info = values.pop("exc_info", None)
    event = values.pop("event")
    pairs = " ".join(f"{name}={value!r}" for name, value in values.items())
    return (f"{event}: {pairs}" if pairs else event,), {"exc_info": exc_info}
