"""Names of everything that serving keeps in Redis, in one place.

    serve:{version}                          hash: model -> its catalogue entry, as JSON
    serve:{version}/{model} workers          hash: worker -> what it says of itself, as JSON
    serve:{version}/{model} beats            sorted set: worker by its last sign of life (ms)
    serve:{version}/{model} load             hash: producer -> "instances that wait for an answer, time (ms)"
    serve:{version}/{model} refused          text: instances that were refused of late, because no worker was there
    serve:{version}/{model} cost             text: seconds of one slot that an instance takes
    serve:{version}/{model} cancelled        stream: ids of requests whose clients went away
    serve:{version}/{model} results          hash: "{model version} {what}" -> number
    serve:{version}/{model} shadow           list: the newest pairs of answers that were compared
    serve-replies:{producer}                 stream: answers for one producer
    {version}.serve.{model}                  the queue, a Celery queue

The version is that of the code, as everywhere: the API of a branch asks the workers of that branch.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from pipeline.errors import KeyFormatError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}\Z")


@dataclass(frozen=True, slots=True)
class Place:
    """Where one model is served, by one version of the code."""

    version: str
    model: str

    @property
    def queue(self) -> str:
        """The Celery queue that its requests travel through."""
        return f"{self.version}.serve.{self.model}"

    def key(self, part: str) -> str:
        """Return the key of a part."""
        return f"serve:{self.version}/{self.model} {part}"


def place_of(queue: str) -> Place | None:
    """Return whose queue this is, None where it is not a model's."""
    version, found, model = queue.partition(".serve.")
    return Place(version, model) if found and version and _NAME.match(model) else None


def catalogue_key(version: str) -> str:
    """Return the key of all models that a version of the code serves."""
    return f"serve:{version}"


def replies_key(producer: str) -> str:
    """Return the key of a producer's answers."""
    return f"serve-replies:{producer}"


def check_name(name: str, what: str) -> str:
    """Return the name of a model or of a model's version back. Raises KeyFormatError for what cannot be one."""
    if not _NAME.match(name):
        raise KeyFormatError(
            f"{name!r} cannot be the name of a {what}: use up to 100 letters, digits, dots, dashes and underscores, "
            "with a letter or a digit first."
        )
    return name
