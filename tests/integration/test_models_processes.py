"""One registry of models, many processes: promotions at once, and workers that know nothing but a bucket."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path

import boto3
import pytest

from forecasting.registry import Registry
from pipeline.flows.discover import load_flows
from pipeline.flows.pipe import ONE_HOUR
from pipeline.local.processes import Workers
from pipeline.settings import Settings
from pipeline.waves.runtime import Runtime
from pipeline.waves.submit import submit_wave
from tests.contracts.models import GOOD, SPAN, Level, promote_in_turn
from tests.support.aws import REGION, aws
from tests.support.shops import FLOWS, NOW, SHOPS, load_history


@pytest.fixture(scope="module", autouse=True)
def bucket() -> Iterator[str]:
    with aws():
        place = {"LocationConstraint": REGION}
        boto3.client("s3").create_bucket(Bucket="models", CreateBucketConfiguration=place)
        yield "models"


@pytest.mark.parametrize("place", ["folder", "bucket"])
def test_promotions_of_several_processes_form_one_line(bucket: str, place: str, tmp_path: Path):
    root = str(tmp_path) if place == "folder" else f"s3://{bucket}"
    registry = Registry(root)
    versions = [
        registry.save("delay", "JFK", Level(n), SPAN, entities=1, metrics=GOOD).version for n in range(9)
    ]
    with ProcessPoolExecutor(3, mp_context=get_context("spawn")) as pool:
        list(pool.map(promote_in_turn, [root] * 3, [versions[n::3] for n in range(3)]))
    events = registry.history("delay", "JFK")
    assert [event.number for event in events] == list(range(9, 0, -1))
    assert {event.version for event in events} == set(versions)
    assert all(later.before == earlier.version for later, earlier in pairwise(events))


def test_workers_train_into_a_bucket_and_forecast_from_it(
    bucket: str, redis_url: str, monkeypatch: pytest.MonkeyPatch
):
    flows, root = load_flows([FLOWS]), f"s3://{bucket}/models"
    runtime = Runtime(Settings(redis_url=redis_url, version="main"))
    load_history(runtime)
    env = {"PIPELINE_MODELS": root, "PIPELINE_STAGE": "prod"}
    with Workers(redis_url, flows=[FLOWS], env=env, count=1, version="main") as workers:
        workers.wait_ready()
        trained = submit_wave(flows["shop-demand-training"], NOW - ONE_HOUR, None, SHOPS, runtime=runtime)
        assert not trained.wait(60).errors()
        wave = submit_wave(flows["shop"], NOW, None, SHOPS, runtime=runtime).wait(60)
    live = Registry(root).live("demand", "south", "prod")
    assert wave.result("demand_forecast", "south-2")["model"] == live
