"""The Dockerfile and the compose stack, as texts: nothing is built here."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "docker" / "Dockerfile"
STACK: dict[str, Any] = yaml.safe_load((ROOT / "docker" / "compose.yml").read_text())
SERVICES: dict[str, Any] = STACK["services"]
OURS = [name for name, service in SERVICES.items() if "celery-waves" in service["image"]]
WORKERS = [name for name in OURS if "worker" in name]


def stages() -> dict[str, str]:
    """Each stage of the Dockerfile: its text, by its name."""
    parts = re.split(r"^FROM \S+ AS (\S+)$", DOCKERFILE.read_text(), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_hadolint_finds_nothing():
    beside = str(Path(sys.executable).parent)  # the environment's programs, which need not be on PATH
    linter = shutil.which("hadolint", path=os.pathsep.join([beside, os.environ.get("PATH", "")]))
    if linter is None:
        pytest.skip("no hadolint for this platform")
    found = subprocess.run([linter, str(DOCKERFILE)], capture_output=True, text=True, check=False)
    assert (found.stdout, found.returncode) == ("", 0)


def test_the_dockerfile_needs_no_other_syntax_than_the_engines_own():
    assert "syntax=" not in DOCKERFILE.read_text()


def test_every_image_begins_with_the_same_base():
    foreign = re.findall(r"^FROM (\S+)", DOCKERFILE.read_text(), re.MULTILINE)
    assert {name for name in foreign if name not in stages()} == {"python:3.11-slim-bookworm"}


@pytest.mark.parametrize("name", ["worker", "web", "flower"])
def test_signals_reach_the_process_of_an_image(name: str):
    assert re.search(r"^ENTRYPOINT \[", stages()[name], re.MULTILINE)


def test_everything_is_installed_by_the_pins():
    commands = re.findall(r"^RUN pip .*$", DOCKERFILE.read_text(), re.MULTILINE)
    assert commands
    assert all("--constraint .ci/constraints.txt" in command for command in commands)


def test_images_run_without_rights_and_with_a_health_check():
    base = stages()["base"]
    assert "USER 10001" in base
    assert 'CMD ["python", "-m", "pipeline.alive"]' in base


@pytest.mark.parametrize("name", OURS)
def test_containers_of_ours_cannot_write_and_hold_no_rights(name: str):
    service = SERVICES[name]
    assert service["read_only"]
    assert service["tmpfs"] == ["/tmp"]
    assert service["cap_drop"] == ["ALL"]


@pytest.mark.parametrize("name", SERVICES)
def test_every_container_has_limits(name: str):
    assert SERVICES[name]["mem_limit"]
    assert SERVICES[name]["cpus"]


@pytest.mark.parametrize("name", [name for name in SERVICES if name not in OURS])
def test_every_foreign_container_has_a_health_check(name: str):
    assert SERVICES[name]["healthcheck"]["test"]


@pytest.mark.parametrize("name", [*WORKERS, "beat"])
def test_workers_may_drain_before_they_are_killed(name: str):
    drain = float(SERVICES[name]["environment"]["PIPELINE_DRAIN"].removesuffix("s"))
    assert drain < float(SERVICES[name]["stop_grace_period"].removesuffix("s"))


def test_every_kind_of_queue_has_a_worker():
    commands = " ".join(word for name in WORKERS for word in SERVICES[name]["command"])
    assert all(
        f"${{PIPELINE_VERSION:-main}}.{kind}" in commands
        for kind in ("control", "collect", "compute", "solo")
    )


def test_ports_are_open_to_this_machine_alone():
    assert all(
        port.startswith("127.0.0.1:") for service in SERVICES.values() for port in service.get("ports", ())
    )


def test_redis_never_throws_away_what_is_to_be_done():
    assert "noeviction" in SERVICES["redis"]["command"]


def test_grafana_is_started_only_when_asked_for():
    assert [name for name, service in SERVICES.items() if "profiles" in service] == ["grafana"]
