"""What is measured: a Redis, the API and workers as processes, and what they use."""

from __future__ import annotations

import json
import os
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import gettempdir
from typing import Any

import psutil

from pipeline.local.processes import worker_env
from pipeline.local.supervise import Child, Processes
from pipeline.serving.catalogue import Catalogue, Source
from pipeline.serving.names import Place
from pipeline.serving.status_board import View, look
from tests.benchmarks.serving import rival
from tests.benchmarks.serving.load import Plan, Running, Seen, run
from tests.support.breakable_redis import BreakableRedis
from tests.support.servers import free_port
from tests.support.serving import add_model, start_worker
from tests.support.waiting import late

ROOT = Path(__file__).parents[3]
VERSION = "benchmark"


@dataclass
class Lab:
    """One model's service, ours or the rival's; it ends with the `with` block that made it."""

    redis: BreakableRedis
    processes: Processes
    port: int
    path: str
    model: str
    body: str = '{"instances": [1]}'
    env: dict[str, str] = field(default_factory=dict)
    others: Sequence[int] = ()  # processes that work for it too: the API

    def plan(self, rates: Sequence[tuple[float, float]], **more: Any) -> Plan:
        """Make a plan of its requests."""
        most = max(rate for rate, _ in rates)
        connections = more.pop("connections", min(int(most * 1.3) + 20, 2500))
        return Plan(self.port, self.path, more.pop("body", self.body), rates, connections=connections, **more)

    def load(self, *rates: tuple[float, float], **more: Any) -> Seen:
        """Send requests, and wait for what comes back."""
        return run(self.plan(rates, **more))

    def begin(self, *rates: tuple[float, float], **more: Any) -> Running:
        """Begin to send requests."""
        return Running(self.plan(rates, **more))

    def cpu(self) -> float:
        """Give the CPU seconds that all processes have used."""
        children = [child.pid for child in self.processes.children if child.code is None]
        pids = [*children, *self.others, self.redis.pid]
        return sum(_cpu(pid) for pid in pids)

    def view(self) -> View:
        """Look at the model."""
        with self.redis.client() as client:
            return look(client, VERSION)[self.model]

    def answers(self) -> bool:
        """Say whether a request gets an answer."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{self.path}", self.body.encode())
        with suppress(OSError), urllib.request.urlopen(request, timeout=5) as answer:
            return bool(answer.status == 200)
        return False

    def change(self, change: Any) -> None:
        """Change the model's entry."""
        with self.redis.client() as client:
            Catalogue(client, VERSION).change(self.model, change)

    def add_worker(self, slots: int) -> Child:
        """Start one more worker."""
        name = f"worker{len(self.processes.children)}"
        return start_worker(self.processes, Place(VERSION, self.model), name, self.env, slots)

    def wait_workers(self, count: int) -> None:
        """Wait until so many workers are ready, as the API sees it."""
        wait(lambda: len((get(self.port, f"/v1/models/{self.model}") or {}).get("workers", ())) == count)


@dataclass
class Stack:
    """A Redis and an API that sections share, at the same time too: each serves a model of its own."""

    redis: BreakableRedis
    processes: Processes
    port: int
    env: dict[str, str]

    @contextmanager
    def serve(
        self,
        model: str,
        sources: Sequence[Source],
        slots: int,
        workers: int,
        body: str = '{"instances": [1]}',
        **options: Any,
    ) -> Iterator[Lab]:
        """Serve a model; the first source is live, the others are known. Its workers end with the `with` block."""
        with self.redis.client() as client, Processes(patience=0) as processes:
            add_model(Catalogue(client, VERSION), model, sources, **options)
            path = f"/v1/models/{model}:predict"
            lab = Lab(
                self.redis,
                processes,
                self.port,
                path,
                model,
                body,
                self.env,
                self.processes.pids,
            )
            for _ in range(workers):
                lab.add_worker(slots)
            processes.wait_ready()
            lab.wait_workers(workers)
            yield lab
            Catalogue(client, VERSION).remove(model)


@contextmanager
def ours() -> Iterator[Stack]:
    """Start what serves models."""
    port = free_port()
    with BreakableRedis() as redis, Processes(patience=3) as processes:
        env = worker_env(redis.url, [], VERSION) | {"PIPELINE_WEB_PORT": str(port), **_path()}
        processes.start("api", [sys.executable, "-m", "pipeline.web"], env)
        processes.wait_ready()
        yield Stack(redis, processes, port, env)


@contextmanager
def by_hand(workers: int) -> Iterator[Lab]:
    """Serve with the hand-written rival."""
    port, module = free_port(), rival.__name__
    with BreakableRedis() as redis, Processes(patience=0) as processes:
        env = worker_env(redis.url, [], VERSION) | _path()
        for number in range(workers):
            command = [
                sys.executable,
                "-m",
                "celery",
                "-q",
                "-A",
                f"{module}:celery",
                "worker",
                "-P",
                "threads",
            ]
            command += [
                "-c",
                str(rival.SLOTS // workers),
                "-Q",
                "rival",
                "-n",
                f"rival{number}@%h",
                "-l",
                "WARNING",
            ]
            command += ["-I", "pipeline.workers.readiness", "--without-gossip", "--without-mingle"]
            processes.start(f"worker{number}", command, env)
        processes.wait_ready()
        processes.start("api", [sys.executable, "-m", module, str(port)], env)
        wait(lambda: get(port, "/readyz"))
        yield Lab(redis, processes, port, "/predict", "")


def _path() -> dict[str, str]:
    folders = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return {"PIPELINE_ALLOW": f"tests,{gettempdir()}", "PYTHONPATH": folders}


def get(port: int, path: str) -> Any:
    """Get what a service says, None where it says nothing."""
    with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
        return json.loads(answer.read())
    return None


def wait(condition: Any, seconds: float = 60.0) -> None:
    """Wait for a condition. Raises AssertionError when that takes longer."""
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit, late(condition, seconds)
        time.sleep(0.05)


def _cpu(pid: int) -> float:
    with suppress(psutil.NoSuchProcess):
        used = psutil.Process(pid).cpu_times()
        return used.user + used.system
    return 0.0


def pss_gb(pid: int) -> float:
    """Give the proportional memory of a process and all below it."""
    total = 0.0
    for process in [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]:
        with suppress(psutil.NoSuchProcess, OSError):
            for line in Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1]) * 1024 / 1e9
    return total
