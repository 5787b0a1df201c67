"""What the images are, before any of them runs."""

from __future__ import annotations

import json

import pytest

from tests.docker.conftest import OTHERS, TARGETS
from tests.docker.engine import docker

pytestmark = pytest.mark.timeout(300, func_only=True)  # what fixtures run has limits of its own
MEGABYTES = {"worker": 620, "native": 620, "web": 610, "flower": 260, "redis": 130, "prometheus": 350}
EVERY = (*TARGETS, *OTHERS)


@pytest.mark.parametrize("name", EVERY)
def test_an_image_runs_without_rights(images, name):
    config = json.loads(docker("inspect", images[name].name))[0]["Config"]
    assert config["User"].startswith("10001")


@pytest.mark.parametrize("name", EVERY)
def test_signals_reach_the_process_and_the_engine_can_ask_for_its_health(images, name):
    config = json.loads(docker("inspect", images[name].name))[0]["Config"]
    assert config["Entrypoint"]
    assert config["Entrypoint"][0] not in ("/bin/sh", "sh")
    assert config["Healthcheck"]["Test"][0] == "CMD"  # no shell either


@pytest.mark.parametrize("name", EVERY)
def test_an_image_is_no_larger_than_it_has_to_be(images, name):
    assert images[name].size / 1e6 <= MEGABYTES[name]


@pytest.mark.parametrize("name", TARGETS)
def test_images_of_ours_share_the_layers_of_their_base(images, name):
    base = json.loads(docker("inspect", "python:3.11-slim-bookworm"))[0]["RootFS"]["Layers"]
    found = json.loads(docker("inspect", images[name].name))[0]["RootFS"]["Layers"]
    assert found[: len(base)] == base


def test_the_worker_and_the_api_share_the_layer_of_what_both_install(images):
    worker, web = (
        json.loads(docker("inspect", images[name].name))[0]["RootFS"]["Layers"] for name in ("worker", "web")
    )
    shared = [layer for layer in worker if layer in web]
    assert len(shared) >= len(worker) - 2  # what one adds, and at most a layer that differs in times alone


def test_a_worker_that_knows_no_version_refuses_to_start(images):
    said = docker(
        "run", "--rm", "--entrypoint", "sh", "-e", "PIPELINE_VERSION=", "-e", "REDIS_URL=redis://127.0.0.1:1/0",
        images["worker"].name, "-c", "wave run slow 2>&1; python -m celery -A pipeline.app worker 2>&1; echo $?",
    )  # fmt: skip
    assert "PIPELINE_VERSION" in said
    assert said.splitlines()[-1] != "0"


def test_what_is_installed_is_what_the_pins_say(images):
    """Nothing that the resolver chose by itself."""
    from pathlib import Path  # noqa: PLC0415

    pins = (Path(__file__).parents[2] / ".ci" / "constraints.txt").read_text().split()
    code = (
        "from importlib.metadata import distributions as d; print(*(f'{x.name}=={x.version}' for x in d()))"
    )
    for name in TARGETS:
        found = docker("run", "--rm", "--entrypoint", "python", images[name].name, "-c", code).split()
        ours = {_plain(line) for line in found} - {_plain(line) for line in pins}
        assert {line.partition("==")[0] for line in ours} == {"celery-waves"}, name


def _plain(line: str) -> str:
    return line.lower().replace("_", "-").replace(".", "-")
