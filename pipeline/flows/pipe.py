"""PipeKey: the name of one stored value, and the rules for its parts."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from pipeline.errors import KeyFormatError
from pipeline.flows.entity import check_entity_key

_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/+-]*")
_FORMAT = "%Y-%m-%dT%H"

ONE_HOUR = timedelta(hours=1)


def hour(value: datetime | str) -> datetime:
    """Return a whole hour with a time zone in UTC.

    Args:
        value: Texts are read as ISO 8601, without a zone ("2013-06-25T13") as UTC: keys are written so.

    Raises:
        KeyFormatError: It cannot be read, has no time zone, or is not on the hour.
    """
    if isinstance(value, str):
        value = _parse(value)
    if not isinstance(value, datetime):
        raise KeyFormatError(
            f"date {value!r} has the type {type(value).__name__}. Give a datetime in UTC, on the hour."
        )
    if value.tzinfo is None:
        raise KeyFormatError(
            f"date {value.isoformat()} has no time zone. Give it one, as in value.replace(tzinfo=timezone.utc)."
        )
    value = value.astimezone(UTC)
    if value.minute or value.second or value.microsecond:
        raise KeyFormatError(
            f"date {value.isoformat()} is not on the hour. Use {floor(value).isoformat()}: pipes are hourly."
        )
    return value


def _parse(value: str) -> datetime:
    try:
        parsed = datetime.fromisoformat(value)
    except ValueError:
        raise KeyFormatError(f"date {value!r} cannot be read. Write it like 2013-06-25T13 (UTC).") from None
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)


def floor(value: datetime) -> datetime:
    """Return the hour that the aware `value` lies in, in UTC."""
    return value.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def stamp(date: datetime) -> str:
    """Write a date the way keys hold it: 2013-06-25T13."""
    return date.strftime(_FORMAT)


def check_version(version: str) -> str:
    """Return `version` back if it can be part of a key: a git branch or tag. Raises KeyFormatError."""
    if not isinstance(version, str) or not _VERSION.fullmatch(version):
        raise KeyFormatError(
            f"version {version!r} cannot be part of a key. Use a branch or tag: letters, digits and . _ / + -"
        )
    return version


@dataclass(frozen=True, slots=True)
class PipeKey:
    """The key of one pipe.

    Args:
        version: The branch or tag of the code that made it.
        pipe: The name of the task that made it.
        entity: An entity's key, or @partition, or @all.
        date: The hour that it is about; kept in UTC.

    Raises:
        KeyFormatError: One of them cannot be part of a key.

    Example:
        >>> str(PipeKey("main", "delay", "JFK-LAX", hour("2013-06-25T13")))
        'main/delay JFK-LAX 2013-06-25T13'
    """

    version: str
    pipe: str
    entity: str
    date: datetime

    def __post_init__(self) -> None:
        check_version(self.version)
        if not isinstance(self.pipe, str) or not self.pipe.isidentifier():
            raise KeyFormatError(
                f"pipe name {self.pipe!r} cannot be part of a key: it is the name of a task, as Python writes names."
            )
        check_entity_key(self.entity, scope=True)
        object.__setattr__(self, "date", hour(self.date))

    def __str__(self) -> str:
        return f"{self.version}/{self.pipe} {self.entity} {stamp(self.date)}"

    @classmethod
    def parse(cls, text: str) -> PipeKey:
        """Read a key as it stands in Redis. Raises KeyFormatError."""
        head, _, rest = text.partition(" ")
        entity, _, date = rest.partition(" ")
        version, _, pipe = head.rpartition("/")
        if not (version and pipe and entity and date):
            raise KeyFormatError(
                f"{text!r} is not a pipe key. One looks like 'main/delay JFK-LAX 2013-06-25T13'."
            )
        return cls(version, pipe, entity, hour(date))
