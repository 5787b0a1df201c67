"""The registry of models in S3, and promotions that are published to SNS, on a server that speaks both over HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import count
from typing import Any

import boto3
import pytest

from forecasting.errors import ModelError
from forecasting.registry import ModelSettings, Registry
from tests.contracts.models import GOOD, SPAN, Level, ModelsContract
from tests.support.aws import REGION, aws

_buckets = count()


@pytest.fixture(scope="module", autouse=True)
def server() -> Iterator[str]:
    with aws() as address:
        yield address


@pytest.fixture
def bucket(server: str) -> str:
    name = f"models-{next(_buckets)}"
    boto3.client("s3").create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
    return name


class TestModelsInS3(ModelsContract):
    @pytest.fixture
    def root(self, bucket: str) -> str:
        return f"s3://{bucket}/team/models"

    def test_keys_lie_under_the_prefix_of_the_bucket(self, bucket: str, three):
        found = boto3.client("s3").list_objects_v2(Bucket=bucket)["Contents"]
        keys = [entry["Key"] for entry in found]
        assert f"team/models/delay/JFK/models/{three[0]}/manifest.json" in keys
        assert "team/models/delay/JFK/live/dev/00000003.json" in keys

    def test_more_keys_than_one_answer_holds_are_listed_and_removed(self, bucket: str):
        files = Registry(f"s3://{bucket}").files
        files.page = 2
        for n in range(5):
            files.create(f"a/{n}", b"")
        assert files.find("a/") == [f"a/{n}" for n in range(5)]
        files.remove(files.find("a/"))
        assert files.find() == []


def test_a_bucket_that_is_not_there_is_told_with_what_is_needed():
    with pytest.raises(
        ModelError, match=r"s3://no-such-bucket cannot be reached .*NoSuchBucket.*s3:GetObject"
    ):
        Registry("s3://no-such-bucket").live("delay", "JFK")


def test_credentials_that_lack_are_told(bucket: str, monkeypatch: pytest.MonkeyPatch, tmp_path):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    with pytest.raises(ModelError, match=r"Unable to locate credentials.*Check the bucket's name"):
        Registry(f"s3://{bucket}").live("delay", "JFK")


@pytest.mark.parametrize("fifo", [False, True])
def test_a_promotion_reaches_who_subscribed_to_the_topic(bucket: str, fifo: bool):
    name = "models.fifo" if fifo else "models"
    attributes = {"FifoTopic": "true"} if fifo else {}
    queue_attributes = {"FifoQueue": "true"} if fifo else {}
    sns, sqs = boto3.client("sns"), boto3.client("sqs")
    topic = sns.create_topic(Name=name, Attributes=attributes)["TopicArn"]
    queue = sqs.create_queue(QueueName=name, Attributes=queue_attributes)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    policy = {"stage": ["prod"]}
    sns.subscribe(
        TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes={"FilterPolicy": json.dumps(policy)}
    )
    registry = Registry(f"s3://{bucket}", ModelSettings(topic=topic))
    version = registry.save("delay", "JFK", Level(1), SPAN, entities=1, metrics=GOOD).version
    assert registry.promote("delay", "JFK", version).published
    assert registry.promote("delay", "JFK", version, "prod", why="ready").published
    (body,) = messages(sqs, queue)
    assert (body["event"], body["stage"], body["version"], body["from"]) == (
        "promoted",
        "prod",
        version,
        None,
    )
    assert body["artifact"] == f"s3://{bucket}/delay/JFK/models/{version}"
    assert body["metrics"] == GOOD


def messages(sqs: Any, queue: str) -> list[dict[str, Any]]:
    found = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10, WaitTimeSeconds=1).get("Messages", [])
    return [json.loads(json.loads(message["Body"])["Message"]) for message in found]


def test_a_topic_that_is_not_there_is_told_and_the_version_is_live_all_the_same(bucket: str):
    gone = f"arn:aws:sns:{REGION}:123456789012:gone"
    registry = Registry(f"s3://{bucket}", ModelSettings(topic=gone))
    version = registry.save("delay", "JFK", Level(1), SPAN, entities=1, metrics=GOOD).version
    done = registry.promote("delay", "JFK", version)
    assert not done.published
    assert f"{gone} does not take the message" in done.unpublished
    assert registry.live("delay", "JFK") == version
