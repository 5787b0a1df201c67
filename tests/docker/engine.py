"""Docker and docker-compose as a person types them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from pipeline.settings import Settings
from pipeline.waves.runtime import Runtime
from tests.support.waiting import written

ROOT = Path(__file__).parents[2]
STACK = ROOT / "docker" / "compose.yml"
BRANCH = ROOT / "docker" / "compose.branch.yml"


def run(words: Sequence[str], env: Mapping[str, str] | None = None, limit: float = 120.0) -> str:
    """Give what a command says on stdout; fails with all of its output when it fails."""
    ended = subprocess.run(
        words, capture_output=True, text=True, timeout=limit, env={**os.environ, **(env or {})}
    )
    said = f"{ended.stdout[-4000:]}{ended.stderr[-4000:]}"
    assert ended.returncode == 0, f"{' '.join(words)} ended with {ended.returncode}:\n{said}"
    return ended.stdout


def docker(*words: str, limit: float = 120.0) -> str:
    """Run a command of Docker's client."""
    return run(["docker", *words], limit=limit).strip()


def build(image: str, *options: str) -> float:
    """Build an image as it is written, and give the seconds that it took."""
    began = time.monotonic()
    # BuildKit wants no container of its own for the steps' network, and builds only what a target needs.
    run(
        ["docker", "build", "--network", "host", "-t", image, *options],
        {"DOCKER_BUILDKIT": "1", "BUILDKIT_PROGRESS": "plain"},
        limit=900,
    )
    return time.monotonic() - began


def wait(condition: Callable[[], object], what: str, limit: float = 60.0, *seen: Callable[[], str]) -> None:
    """Wait until it holds; fails when it does not within the limit (seconds), with what was `seen` then."""
    deadline = time.monotonic() + limit
    while not condition():
        if time.monotonic() >= deadline:
            raise AssertionError(
                "\n".join([f"not within {limit:g} s: {what}", *(said() for said in seen), *written()])
            )
        time.sleep(0.2)


@dataclass(frozen=True)
class Container:
    """One container, as the engine describes it."""

    id: str

    def look(self) -> dict[str, Any]:
        """Ask the engine."""
        found: list[dict[str, Any]] = json.loads(docker("inspect", self.id))
        return found[0]

    @property
    def health(self) -> str:
        """starting, healthy or unhealthy."""
        return str(self.look()["State"]["Health"]["Status"])

    @property
    def exit_code(self) -> int | None:
        """What its process ended with, None while it runs."""
        state = self.look()["State"]
        return None if state["Running"] else int(state["ExitCode"])

    @property
    def address(self) -> str:
        """Its address on its network, which this machine reaches."""
        return str(self._network["IPAddress"])

    @property
    def gateway(self) -> str:
        """The address of this machine on its network.

        The network itself does not tell it always: an engine that makes its bridge knows no gateway of it until it is
        started again.
        """
        return str(self._network["Gateway"])

    @property
    def _network(self) -> dict[str, Any]:
        found: dict[str, dict[str, Any]] = self.look()["NetworkSettings"]["Networks"]
        return next(iter(found.values()))

    def shell(self, line: str) -> subprocess.CompletedProcess[str]:
        """Run a line in it."""
        words = ["docker", "exec", self.id, "sh", "-c", line]
        return subprocess.run(words, capture_output=True, text=True, timeout=60)

    def stop(self) -> int:
        """Stop it as `docker stop` does, and give its exit code."""
        docker("stop", self.id, limit=180)
        code = self.exit_code
        assert code is not None
        return code

    def logs(self) -> str:
        """What it wrote."""
        words = ["docker", "logs", "--tail", "60", self.id]
        return subprocess.run(
            words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60
        ).stdout


@dataclass(frozen=True)
class Project:
    """A stack, or the workers of a branch beside one."""

    name: str
    folder: Path  # with .env and secrets, as docker/configure makes them
    env: Mapping[str, str]
    files: tuple[Path, ...] = (STACK,)
    ports: Mapping[str, int] = field(default_factory=dict)

    def compose(self, *words: str, limit: float = 180.0) -> str:
        """Run docker-compose."""
        command = _compose()
        command += [word for file in self.files for word in ("-f", str(file))]
        command += ["--env-file", str(self.folder / ".env"), "-p", self.name]
        return run([*command, *words], self.env, limit)

    def containers(self, service: str | None = None) -> list[Container]:
        """All containers, or a service's."""
        words = ["ps", "-aq", "--filter", f"label=com.docker.compose.project={self.name}"]
        if service is not None:
            words += ["--filter", f"label=com.docker.compose.service={service}"]
        return [Container(name) for name in docker(*words).split()]

    def services(self) -> dict[str, list[Container]]:
        """The containers by their service."""
        found: dict[str, list[Container]] = {}
        for container in self.containers():
            labels = container.look()["Config"]["Labels"]
            found.setdefault(labels["com.docker.compose.service"], []).append(container)
        return found

    def wait_healthy(self, limit: float = 120.0) -> None:
        """Wait until every container that runs is healthy."""
        for service, containers in self.services().items():
            for container in containers:
                if container.exit_code is None:
                    wait(
                        lambda one=container: one.health == "healthy",  # type: ignore[misc]
                        f"{service} is healthy",
                        limit,
                        container.logs,
                    )

    def logs(self) -> str:
        """What its services wrote last."""
        return self.compose("logs", "--no-color", "--tail", "20")

    def wave(self, *words: str, limit: float = 120.0) -> str:
        """Run the `wave` command in one of its workers, and give what it says."""
        return self.compose("exec", "-T", "worker-compute", "wave", *words, limit=limit)

    def runtime(self, **settings: Any) -> Runtime:
        """Clients of its Redis, for this process."""
        url = f"redis://{self.containers('redis')[0].address}:6379/0"
        return Runtime(Settings(redis_url=url, version="main", **settings))

    def client(self, port: str, **options: Any) -> httpx.Client:
        """A client of one of its open ports."""
        return httpx.Client(base_url=f"http://127.0.0.1:{self.ports[port]}", timeout=20, **options)

    def secret(self, name: str) -> str:
        """A value of its .env."""
        lines = (self.folder / ".env").read_text().splitlines()
        return next(line.partition("=")[2] for line in lines if line.startswith(f"{name}="))


def _compose() -> list[str]:
    return ["docker-compose"] if shutil.which("docker-compose") else ["docker", "compose"]
