"""Messages as they lie in Redis: what each one is to run."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Mapping
from typing import Any

import orjson

from pipeline.gate.units import Unit
from pipeline.messaging.canvas import AND, JOIN, RUN, SUBMIT

GZIP = "application/x-gzip"  # what kombu calls zlib's compression
STEP = "\x06\x16"  # between the name of a queue and a priority, in the key of the list
PRIORITIES = ("", *(f"{STEP}{step}" for step in (3, 6, 9)))  # kombu's


def lists(queue: str) -> list[str]:
    """Return the keys of the lists that a queue consists of, one a priority."""
    return [queue + priority for priority in PRIORITIES]


def units_of(message: Mapping[str, Any]) -> tuple[str, list[Unit]] | None:
    """Return the wave of a message and the units that it runs: "" and none for one of no wave, None for a stranger.

    `message` is the decoded JSON of an entry of a queue's list.
    """
    try:
        task = message["headers"]["task"]
        if task in (JOIN, SUBMIT):
            return "", []
        if task != RUN:
            return None
        body = base64.b64decode(message["body"])
        if message["headers"].get("compression") == GZIP:
            body = zlib.decompress(body)
        wave_id, names, where, *_ = orjson.loads(body)[0]
        return str(wave_id), [Unit(name, where) for name in names.split(AND)]
    except (LookupError, TypeError, ValueError, AttributeError, zlib.error):
        return None
