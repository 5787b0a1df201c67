"""The images, and a whole stack of them, on a real engine: `make docker`, or `.ci/engine make docker`."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.docker.engine import ROOT, Project, build, docker
from tests.support.servers import free_port

HERE = Path(__file__).parent
DOCKERFILE = str(ROOT / "docker" / "Dockerfile")
TARGETS = ("worker", "native", "web", "flower")
OTHERS = ("redis", "prometheus")  # with Dockerfiles of their own
TAG = "tests"
NAME = f"wavestests{os.getpid()}"
BRANCH = "try-1"


@dataclass(frozen=True)
class Image:
    """An image that was built."""

    name: str
    seconds: float
    size: int  # bytes, with the base that all share


_SEEN: list[str] = []  # for the end of the run


@pytest.fixture(scope="session")
def images() -> Mapping[str, Image]:
    """All images, built from the Dockerfiles as they are."""
    ended = subprocess.run(["docker", "version"], capture_output=True, text=True, check=False)
    if ended.returncode:
        reason = f"no Docker engine answers ({ended.stderr.strip()[-200:]}): try .ci/engine make docker"
        assert not os.environ.get("CI"), reason
        pytest.skip(reason)
    found = {}
    for name in TARGETS:
        options = ["-f", DOCKERFILE, "--target", name, "--build-arg", "VERSION=main", str(ROOT)]
        found[name] = _built(name, *options)
    for name in OTHERS:
        found[name] = _built(name, str(ROOT / "docker" / name))
    return found


def _built(name: str, *options: str) -> Image:
    image = f"celery-waves-{name}:{TAG}"
    seconds = build(image, *options)
    size = int(docker("image", "inspect", "--format", "{{.Size}}", image))
    _SEEN.append(f"{image:32} {size / 1e6:6.0f} MB, built in {seconds:.0f} s")
    return Image(image, seconds, size)


@pytest.fixture(scope="session")
def stack(images: Mapping[str, Image], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """The stack of docker/compose.yml, healthy, with the example's flows, the demo's and slow ones."""
    folder = tmp_path_factory.mktemp("stack")
    subprocess.run([ROOT / "docker" / "configure", folder], check=True, capture_output=True, timeout=20)
    ports = {name: free_port() for name in ("API_PORT", "FLOWER_PORT", "PROMETHEUS_PORT")}
    env = {
        "TAG": TAG,
        "VERSION": "main",
        "FLOWS": str(flows(folder / "flows", ROOT / "docker" / "flows", HERE / "flows")),
        "PIPELINE_FLOWS": "tides,slow,tasks.delays",
        "SECRETS": str(folder / "secrets"),
        "LEASE": "8s",  # what is lost with a container comes back sooner than by default
        **{name: str(port) for name, port in ports.items()},
    }
    found = Project(NAME, folder, env, ports=ports)
    try:
        found.compose("up", "-d", "--no-build", limit=300)
        found.wait_healthy()
        yield found
    finally:
        found.compose("down", "-v", "-t", "20", limit=300)


def flows(target: Path, *sources: Path) -> Path:
    """Copy folders of flows into one that the containers' user can read."""
    for source in sources:
        shutil.copytree(source, target, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    for path in (target, *target.rglob("*")):
        path.chmod(0o755)
    return target


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Tell how large the images are."""
    if _SEEN:
        terminalreporter.section("images")
        for line in _SEEN:
            terminalreporter.write_line(line)
