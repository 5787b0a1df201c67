"""The Dockerfiles and the compose stack, as texts: tests/docker builds and runs them."""

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

from pipeline.web.tokens import Tokens

ROOT = Path(__file__).parents[3]
DOCKERFILE = ROOT / "docker" / "Dockerfile"
DOCKERFILES = sorted((ROOT / "docker").rglob("Dockerfile"))
STACK: dict[str, Any] = yaml.safe_load((ROOT / "docker" / "compose.yml").read_text())
SERVICES: dict[str, Any] = STACK["services"]
BUILT = [name for name, service in SERVICES.items() if "build" in service]  # all but Grafana's
OURS = [name for name in BUILT if "environment" in SERVICES[name]]
WORKERS = [name for name in OURS if "worker" in name]


def stages() -> dict[str, str]:
    """Each stage of the Dockerfile: its text, by its name."""
    parts = re.split(r"^FROM \S+ AS (\S+)$", DOCKERFILE.read_text(), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_hadolint_finds_nothing(path: Path):
    beside = str(Path(sys.executable).parent)  # the environment's programs, which need not be on PATH
    linter = shutil.which("hadolint", path=os.pathsep.join([beside, os.environ.get("PATH", "")]))
    if linter is None:
        pytest.skip("no hadolint for this platform")
    found = subprocess.run([linter, str(path)], capture_output=True, text=True, check=False)
    assert (found.stdout, found.returncode) == ("", 0)


def test_dockerfiles_need_no_other_syntax_than_the_engines_own():
    assert all("syntax=" not in path.read_text() for path in DOCKERFILES)


def test_every_image_of_ours_begins_with_the_same_base():
    foreign = re.findall(r"^FROM (\S+)", DOCKERFILE.read_text(), re.MULTILINE)
    assert {name for name in foreign if name not in stages()} == {"python:3.11-slim-bookworm"}


@pytest.mark.parametrize("name", ["worker", "web", "flower"])  # `native` is built from `worker`
def test_signals_reach_the_process_of_an_image(name: str):
    assert re.search(r"^ENTRYPOINT \[", stages()[name], re.MULTILINE)


def test_everything_is_installed_by_the_pins():
    assert "PIP_CONSTRAINT=/src/.ci/constraints.txt" in stages()["build"]
    installing = [name for name, text in stages().items() if "pip --python" in text]
    assert len(installing) == 5
    assert all(
        re.search(rf"FROM build(-common)? AS {name}$", DOCKERFILE.read_text(), re.M) for name in installing
    )


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_debian_installs_is_pinned_to_a_version(path: Path):
    text = path.read_text().replace("\\\n", " ")
    for packages in re.findall(r"apt-get install -y --no-install-recommends (.*?)&&", text):
        assert all("=" in package for package in packages.split()), packages


def test_images_run_without_rights_and_with_a_health_check():
    base = stages()["base"]
    assert "USER 10001" in base
    assert 'CMD ["python", "-m", "pipeline.workers.liveness"]' in base


@pytest.mark.parametrize("name", BUILT)
def test_containers_cannot_write_and_hold_no_rights(name: str):
    service = SERVICES[name]
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]


@pytest.mark.parametrize("name", OURS)
def test_containers_of_ours_may_write_to_memory(name: str):
    assert SERVICES[name]["tmpfs"] == ["/tmp"]


@pytest.mark.parametrize("name", SERVICES)
def test_every_container_has_limits(name: str):
    assert SERVICES[name]["mem_limit"]
    assert SERVICES[name]["cpus"]


def test_every_container_has_a_health_check():
    for name, service in SERVICES.items():
        if name in OURS:
            continue  # their base has one
        folder = service.get("build")
        found = "HEALTHCHECK" in (ROOT / "docker" / folder / "Dockerfile").read_text() if folder else False
        assert found or service["healthcheck"]["test"], name


@pytest.mark.parametrize("name", [*WORKERS, "beat"])
def test_workers_may_drain_before_they_are_killed(name: str):
    drain = float(SERVICES[name]["environment"]["PIPELINE_DRAIN"].removesuffix("s"))
    assert drain < float(SERVICES[name]["stop_grace_period"].removesuffix("s"))


def test_every_kind_of_queue_has_a_worker():
    commands = " ".join(word for name in WORKERS for word in SERVICES[name]["command"])
    assert all(
        f"${{VERSION:-main}}.{kind}" in commands
        for kind in ("control", "collect", "compute", "solo", "native")
    )


def test_ports_are_open_to_this_machine_alone():
    assert all(
        port.startswith("127.0.0.1:") for service in SERVICES.values() for port in service.get("ports", ())
    )


def test_redis_never_throws_away_what_is_to_be_done():
    assert "noeviction" in SERVICES["redis"]["command"]


def test_grafana_is_started_only_when_asked_for():
    assert [name for name, service in SERVICES.items() if "profiles" in service] == ["grafana"]


def test_the_workers_of_a_branch_share_the_network_and_the_models_of_the_stack():
    branch = yaml.safe_load((ROOT / "docker" / "compose.branch.yml").read_text())
    assert branch["networks"]["default"]["external"]
    assert branch["volumes"]["models"]["external"]
    assert "services" not in branch


def test_configure_makes_secrets_once_that_fit_together(tmp_path: Path):
    configure = str(ROOT / "docker" / "configure")
    subprocess.run([configure, str(tmp_path)], check=True, capture_output=True)
    made = (tmp_path / ".env").read_text()
    values = dict(line.split("=", 1) for line in made.splitlines())
    token = (tmp_path / "secrets" / "token").read_bytes()
    assert Tokens.parse([values["PIPELINE_TOKENS"]]).owner(b"Bearer " + token) == "stack"
    assert (tmp_path / ".env").stat().st_mode & 0o077 == 0
    assert (tmp_path / "secrets").stat().st_mode & 0o077 == 0
    wanted = set(re.findall(r"\$\{(\w+):\?", (ROOT / "docker" / "compose.yml").read_text()))
    assert wanted <= set(values)
    again = subprocess.run([configure, str(tmp_path)], check=True, capture_output=True, text=True)
    assert "stays as it is" in again.stdout
    assert (tmp_path / ".env").read_text() == made
