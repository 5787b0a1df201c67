"""What travels: requests as the arguments of one Celery message, answers as one entry of a reply stream. JSON.

A message is made here and not by Celery, because it is made by the hundred a second: it is what `send_task` would
put on the queue (protocol 2 in kombu's envelope), and 20 times as cheap.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson

from pipeline.forms import FORM

TASK = "pipeline.serve"

OK = 0
REFUSED = 1  # the model says that an instance is no good
FAILED = 2  # the model failed
GONE = 3  # the version that was asked for is not served by this worker


class Asked(NamedTuple):
    """One request, as it travels."""

    id: str
    until: int  # when nobody waits for it any more: ms, by Redis' clock
    version: str  # "" for the live one
    pinned: bool  # whether only this version may answer
    instances: list[Any]


class Answered(NamedTuple):
    """One answer, as it travels."""

    id: str
    status: int
    version: str  # that answered
    value: Any  # predictions, or a text
    ms: float  # that the call took


@dataclass(frozen=True, slots=True)
class Batch:
    """What one message holds."""

    id: str
    producer: str
    requests: tuple[Asked, ...]


@dataclass(frozen=True, slots=True)
class Replies:
    """What one entry of a reply stream holds."""

    worker: str
    took: Sequence[str]  # ids of batches that this worker has now
    answers: Sequence[Answered]


def message(batch: Batch, queue: str) -> bytes:
    """Write a batch as a Celery message."""
    body = orjson.dumps(
        [
            [batch.id, batch.producer, [tuple(asked) for asked in batch.requests]],
            {"form": FORM},
            {"callbacks": None, "errbacks": None, "chain": None, "chord": None},
        ]
    )
    return orjson.dumps(
        {
            "body": body.decode(),
            "content-encoding": "utf-8",
            "content-type": "application/json",
            "headers": {
                "lang": "py",
                "task": TASK,
                "id": batch.id,
                "root_id": batch.id,
                "parent_id": None,
                "group": None,
                "retries": 0,
                "eta": None,
                "expires": None,
                "timelimit": [None, None],
                "ignore_result": True,
            },
            "properties": {
                "correlation_id": batch.id,
                "delivery_mode": 2,
                "delivery_info": {"exchange": "", "routing_key": queue},
                "priority": 0,
                "delivery_tag": batch.id,
            },
        }
    )


def parse(body: bytes | str) -> Batch:
    """Read the body of a message. Raises ValueError, TypeError or LookupError for one of another kind."""
    args = orjson.loads(body)[0]
    return Batch(args[0], args[1], tuple(Asked(*asked[: len(Asked._fields)]) for asked in args[2]))


def dump_replies(worker: str, took: Iterable[str], answers: Iterable[Answered]) -> bytes:
    """Write an entry of a reply stream; a number that JSON cannot hold becomes null."""
    return orjson.dumps(
        [worker, list(took), [tuple(answer) for answer in answers], FORM],
        default=_plain,
        option=orjson.OPT_SERIALIZE_NUMPY,
    )


def parse_replies(data: bytes) -> Replies:
    """Read what `dump_replies` wrote."""
    worker, took, answers, *_ = orjson.loads(data)
    return Replies(worker, took, [Answered(*answer[: len(Answered._fields)]) for answer in answers])


def writable(value: Any) -> bool:
    """Return whether JSON can hold a prediction."""
    try:
        orjson.dumps(value, default=_plain, option=orjson.OPT_SERIALIZE_NUMPY)
    except TypeError:
        return False
    return True


def _plain(value: Any) -> Any:
    """Return Python's number for one of numpy's."""
    item = getattr(value, "item", None)
    if item is None:
        raise TypeError(f"{type(value).__name__} cannot be written as JSON")
    return item()
