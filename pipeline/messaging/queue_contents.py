"""Messages as they lie in Redis: what each one is to run."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Mapping
from typing import Any

import orjson

from pipeline.errors import UnreadableError
from pipeline.gate.units import Unit
from pipeline.messaging.canvas import JOIN, RUN, SUBMIT, Order

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
        args, fields, *_ = orjson.loads(body)
        order = Order.read(args, fields)
        return order.wave_id, list(order.units)
    except (UnreadableError, LookupError, TypeError, ValueError, AttributeError, zlib.error):
        return None
