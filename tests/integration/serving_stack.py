"""What tests of serving start: an API, and workers that hold models, on a Redis that is there."""

from __future__ import annotations

import signal
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from redis import Redis

from pipeline.local.processes import worker_env
from pipeline.local.supervise import Child, Processes
from pipeline.serving.catalogue import Catalogue, Source
from pipeline.serving.names import Place
from tests.support.servers import free_port, until
from tests.support.serving import add_model, start_worker

ROOT = Path(__file__).parents[2]
KIND = "tests.integration.served:Echo"


@dataclass
class Stack:
    """A Redis, and the processes that tests start on it."""

    url: str
    processes: Processes
    catalogue: Catalogue
    client: Redis
    workers: dict[str, list[Child]] = field(default_factory=dict)

    def api(self, name: str = "api", **env: str) -> httpx.Client:
        port = free_port()
        env = worker_env(self.url, [], "main") | {"PIPELINE_WEB_PORT": str(port), **env}
        self.processes.start(name, [sys.executable, "-m", "pipeline.web"], env)
        self.processes.wait_ready(names=[name])
        return httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20)

    def serve(self, model: str, paths: tuple[str, ...] = ("one",), **options: Any) -> None:
        add_model(self.catalogue, model, [Source(KIND, path) for path in paths], **options)

    def worker(self, model: str, slots: int = 4) -> Child:
        name = f"{model}-{sum(map(len, self.workers.values()))}"
        env = worker_env(self.url, [], "main") | {"PYTHONPATH": str(ROOT)}
        child = start_worker(self.processes, Place("main", model), name, env, slots)
        self.workers.setdefault(model, []).append(child)
        return child

    def ready(self, api: httpx.Client, model: str, count: int = 1) -> None:
        until(lambda: len(api.get(f"/v1/models/{model}").json().get("workers", ())) == count)

    def kill(self, child: Child, number: int = signal.SIGKILL) -> None:
        self.processes.kill(self.processes.children.index(child), number)


def predict(api: httpx.Client, *instances: Any, model: str = "echo", **more: Any) -> httpx.Response:
    return api.post(f"/v1/models/{model}:predict", json={"instances": instances}, **more)
