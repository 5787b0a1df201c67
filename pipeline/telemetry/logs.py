"""Loggers that go through Python's own logging, with names and values: `log.info("wave has ended", wave=...)`.

A program that uses the library decides by its logging settings what is shown; nothing is printed by itself. Our own
processes write a JSON object a line, with the wave, flow, version, task and shard that a line is about, and for
people in a terminal the same in words. PIPELINE_LOG=json or text chooses.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import orjson
import structlog
from structlog.stdlib import ProcessorFormatter

from pipeline.errors import SettingsError

LOG = "PIPELINE_LOG"
JSON, TEXT = "json", "text"
_VALUES = "wave_values"  # the attribute of a record that holds what a line was given by name


def get_logger(name: str) -> Any:
    """Return the logger of a module. Values bound by `structlog.contextvars` are on each of its lines."""
    return structlog.wrap_logger(
        logging.getLogger(name),
        wrapper_class=structlog.stdlib.BoundLogger,
        processors=[structlog.stdlib.filter_by_level, structlog.contextvars.merge_contextvars, _line],
    )


def _line(_logger: Any, _method: str, values: Any) -> tuple[tuple[str], dict[str, Any]]:
    """Write a line as `what happened: name=value name=value`, and leave a traceback to logging."""
    exc_info = values.pop("exc_info", None)
    kept = dict(values)
    event = values.pop("event")
    pairs = " ".join(f"{name}={value!r}" for name, value in values.items())
    text = f"{event}: {pairs}" if pairs else event
    return (text,), {"exc_info": exc_info, "extra": {_VALUES: kept}}


@contextmanager
def about(wave_id: str, task: str, shard: str) -> Iterator[None]:
    """Put what is run on each line that is logged meanwhile, by whomever."""
    with structlog.contextvars.bound_contextvars(**_wave(wave_id), task=task, shard=shard):
        yield


def _wave(wave_id: str) -> dict[str, str]:
    version, _, flow = wave_id.split(" ")[0].rpartition("/")
    return {"wave": wave_id, "flow": flow, "version": version}


def form(terminal: bool, environ: Mapping[str, str] | None = None) -> str:
    """Choose how lines are written: json or text. Raises SettingsError for a PIPELINE_LOG that is neither."""
    chosen = (os.environ if environ is None else environ).get(LOG) or (TEXT if terminal else JSON)
    if chosen not in (JSON, TEXT):
        raise SettingsError(f"{LOG}={chosen!r} is not a way to write logs. Give json or text.")
    return chosen


def formatter(terminal: bool) -> logging.Formatter:
    """Build the formatter of lines, of our loggers and of all others."""
    last: list[Any]
    if form(terminal) == TEXT:
        # Without the values of variables, which may be secrets.
        plain = structlog.dev.plain_traceback
        last = [structlog.dev.ConsoleRenderer(colors=terminal, exception_formatter=plain)]
    else:
        last = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(serializer=_json)]
    return ProcessorFormatter(
        foreign_pre_chain=[
            _unfold,
            structlog.contextvars.merge_contextvars,
            _own_version,
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="timestamp"),
        ],
        processors=[ProcessorFormatter.remove_processors_meta, *last],
    )


def dress(logger: logging.Logger) -> None:
    """Let the handlers of a logger write lines our way."""
    for handler in logger.handlers:
        stream = getattr(handler, "stream", None)
        handler.setFormatter(formatter(bool(stream is not None and stream.isatty())))


def set_up(level: int = logging.WARNING) -> None:
    """Let this process write its log to stderr, where nobody has said how."""
    root = logging.getLogger()
    if not root.handlers:
        root.addHandler(logging.StreamHandler())
        root.setLevel(level)
        dress(root)


def _unfold(_logger: Any, _method: str, values: Any) -> Any:
    """Put the values of a line of ours apart again, and add what its wave tells."""
    kept = getattr(values["_record"], _VALUES, None)
    if kept is not None:
        values.update(kept)
        if "wave" in kept and "flow" not in kept:
            values.update(_wave(kept["wave"]))
    return values


def _own_version(_logger: Any, _method: str, values: Any) -> Any:
    """Add the version that the process works for to lines that are about no wave."""
    if "version" not in values and (own := os.environ.get("PIPELINE_VERSION")):
        values["version"] = own
    return values


def _json(values: Any, **_: Any) -> str:
    return orjson.dumps(values, default=repr, option=orjson.OPT_NON_STR_KEYS).decode()
