"""Where alerts are told: a webhook and an SNS topic.

A webhook gets one POST for all that changed at a time:

    {"text": "new: main/sales is late by 20 min ...",
     "alerts": [{"status": "new", "level": "critical", "what": "late", "about": "main/sales", "text": "...",
                 "since": "2026-01-01T12:20:00+00:00"}]}

A topic gets a message for each alert, the inner object, with `status`, `level` and `what` as attributes, so that a
subscription's filter policy can choose.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from http.client import HTTPException
from typing import Any, Protocol
from urllib.parse import urlsplit

from pipeline.connections.aws import aws_session
from pipeline.errors import SettingsError
from pipeline.monitoring.alert_rules import Alert
from pipeline.telemetry.logs import get_logger

log = get_logger("pipeline.channels")

NEW, RESOLVED = "new", "resolved"
TIMEOUT = 5.0  # seconds that a webhook may take to answer
PAUSES = (1.0, 3.0)  # seconds before each further try


@dataclass(frozen=True, slots=True)
class Notice:
    """An alert that began or ended."""

    status: str  # new or resolved
    alert: Alert
    since: float  # when it was first seen, in seconds since the epoch

    def values(self) -> dict[str, str]:
        """Return it as JSON has it."""
        found = self.alert
        return {
            "status": self.status,
            "level": found.level,
            "what": found.what,
            "about": found.about,
            "text": found.text,
            "since": datetime.fromtimestamp(self.since, UTC).isoformat(timespec="seconds"),
        }

    def __str__(self) -> str:
        return f"{self.status}: {self.alert.text}"


class Channel(Protocol):
    """One way to tell somebody."""

    name: str

    def tell(self, notices: Sequence[Notice]) -> int:
        """Report what changed; return how many of them, from the first on, may have arrived."""


class Webhook:
    """Posts to a URL. What is surely not taken may be told again later; what perhaps was is not."""

    name = "webhook"

    def __init__(self, url: str, timeout: float = TIMEOUT, pauses: Sequence[float] = PAUSES) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise SettingsError(
                "PIPELINE_ALERT_WEBHOOK is not an address of a webhook. Give one that begins with https:// (or http://)."
            )
        self._url, self._timeout, self._pauses = url, timeout, pauses
        self._host = parts.hostname  # all that logs tell of it: the rest is often a secret
        self._opener = urllib.request.build_opener(_NoRedirect)

    def tell(self, notices: Sequence[Notice]) -> int:
        """Post all of them at once, again where that fails."""
        body = {"text": "\n".join(map(str, notices)), "alerts": [notice.values() for notice in notices]}
        for pause in (*self._pauses, None):
            error, taken = self._post(json.dumps(body).encode())
            if error is None:
                return len(notices)
            log.warning("the webhook did not answer well", host=self._host, error=error, again=pause)
            if taken:
                return len(notices)
            if pause is not None:
                time.sleep(pause)
        return 0

    def _post(self, body: bytes) -> tuple[str | None, bool]:
        """Post it; return what went wrong, if anything did, and whether it may have arrived nevertheless."""
        request = urllib.request.Request(self._url, body, {"Content-Type": "application/json"})
        try:
            with self._opener.open(request, timeout=self._timeout):
                return None, True
        except urllib.error.HTTPError as error:
            error.close()
            return f"HTTP {error.code}", False
        except urllib.error.URLError as error:  # no connection, so that nothing was sent
            return str(error.reason), False
        except (OSError, HTTPException) as error:  # it has the request, and did not answer in time
            return f"{type(error).__name__}: {error}", True


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A POST that is sent elsewhere would arrive as a GET."""

    def redirect_request(self, *_: Any) -> None:
        return None


class Topic:
    """Publishes to an SNS topic."""

    name = "sns"

    def __init__(self, arn: str) -> None:
        if not arn.startswith("arn:") or arn.count(":") != 5:
            raise SettingsError(
                f"PIPELINE_ALERT_TOPIC={arn!r} is not a topic. Give its ARN: arn:aws:sns:eu-west-1:123456789012:alerts"
            )
        self._arn = arn
        session, config = aws_session("PIPELINE_ALERT_TOPIC", arn.split(":")[3] or None)
        self._client = session.client("sns", config=config)

    def tell(self, notices: Sequence[Notice]) -> int:
        """Publish each, up to the first that fails."""
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - comes with the extra [aws]

        for n, notice in enumerate(notices):
            try:
                self._client.publish(TopicArn=self._arn, **self._message(notice))
            except (BotoCoreError, ClientError) as error:
                log.warning("the topic does not take the alert", topic=self._arn, error=str(error))
                return n
        return len(notices)

    def _message(self, notice: Notice) -> dict[str, Any]:
        values = notice.values()
        found: dict[str, Any] = {
            "Subject": f"{notice.status}: {notice.alert.what} {notice.alert.about}"[:100],
            "Message": json.dumps(values),
            "MessageAttributes": {
                key: {"DataType": "String", "StringValue": values[key]} for key in ("status", "level", "what")
            },
        }
        if self._arn.endswith(".fifo"):
            digest = hashlib.sha256(found["Message"].encode()).hexdigest()
            found |= {"MessageGroupId": "alerts", "MessageDeduplicationId": digest}
        return found


def channels(environ: Mapping[str, str] | None = None) -> list[Channel]:
    """Return those that the environment names. Raises SettingsError for one that cannot work."""
    env = os.environ if environ is None else environ
    webhook, topic = env.get("PIPELINE_ALERT_WEBHOOK"), env.get("PIPELINE_ALERT_TOPIC")
    return [*([Webhook(webhook)] if webhook else []), *([Topic(topic)] if topic else [])]
