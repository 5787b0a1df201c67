"""Publishing what was made live to an SNS topic, for whatever is deployed by it.

The message is one JSON object:

    {"event": "promoted", "name": "delay", "partition": "JFK", "stage": "prod", "version": "...", "from": "...",
     "number": 7, "by": "...", "at": "2013-06-25T13:00:00+00:00", "why": "...", "forced": false,
     "metrics": {"mae": 9.1, ...}, "artifact": "s3://bucket/models/delay/JFK/models/..."}

Its attributes `event`, `name` and `stage` let a subscription's filter policy choose. On a FIFO topic the messages of
one model keep their order, and one that is sent again within five minutes arrives once.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

from forecasting.errors import ModelError
from forecasting.registry.history import Event
from pipeline.connections.aws import aws_session

Publish = Callable[[dict[str, Any]], None]


def message(event: Event, name: str, partition: str, stage: str, artifact: str) -> dict[str, Any]:
    """Write an event as what is published."""
    return {
        "event": event.kind,
        "name": name,
        "partition": partition,
        "stage": stage,
        "version": event.version,
        "from": event.before,
        "number": event.number,
        "by": event.by,
        "at": event.at,
        "why": event.why,
        "forced": event.forced,
        "metrics": dict(event.metrics),
        "artifact": artifact,
    }


class Topic:
    """Publishes to one topic. Raises ModelError when that fails."""

    def __init__(self, arn: str) -> None:
        self.arn = arn

    def __call__(self, body: dict[str, Any]) -> None:
        """Publish a message."""
        session, config = aws_session("publishing promotions", self.arn.split(":")[3] or None, ModelError)
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - comes with the extra [aws]

        attributes = {
            key: {"DataType": "String", "StringValue": body[key]} for key in ("event", "name", "stage")
        }
        more: dict[str, Any] = {}
        if self.arn.endswith(".fifo"):
            # A digest, because a group's name takes no blanks and little else than letters.
            place = json.dumps([body["name"], body["partition"], body["stage"]])
            group = hashlib.sha256(place.encode()).hexdigest()
            more = {"MessageGroupId": group, "MessageDeduplicationId": f"{group}-{body['number']}"}
        try:
            client, text = session.client("sns", config=config), json.dumps(body)
            client.publish(TopicArn=self.arn, Message=text, MessageAttributes=attributes, **more)
        except (BotoCoreError, ClientError) as error:
            raise ModelError(
                f"{self.arn} does not take the message ({error}). Check that the topic exists and that this "
                "process may sns:Publish."
            ) from None
