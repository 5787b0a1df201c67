"""A whole deployment on this machine, and a real Prometheus that scrapes it each second."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from forecasting.registry import Registry
from pipeline.flows.discover import load_flows
from pipeline.flows.flow import Flow
from pipeline.local.processes import Workers, worker_env
from pipeline.local.supervise import Processes
from pipeline.settings import Settings
from pipeline.waves.runtime import Runtime
from tests.contracts.models import GOOD, SPAN, Level
from tests.support.breakable_redis import BreakableRedis
from tests.support.servers import free_port, until

HERE = Path(__file__).parent
DOCKER = HERE.parents[1] / "docker"
FLOWS = str(HERE / "flows" / "stack.py")
PRICE = "0.05"


@dataclass
class Prometheus:
    """A server, by its HTTP API."""

    address: str

    def query(self, expression: str) -> list[tuple[Mapping[str, str], float]]:
        """Evaluate now: labels and value of each series. Fails for what is not PromQL."""
        answer = httpx.get(f"{self.address}/api/v1/query", params={"query": expression}).json()
        assert answer["status"] == "success", f"{expression}: {answer.get('error')}"
        return [(series["metric"], float(series["value"][1])) for series in answer["data"]["result"]]

    def value(self, expression: str) -> float:
        """Give the greatest of the values; -1 where there is none."""
        return max((value for _, value in self.query(expression)), default=-1.0)

    def firing(self) -> set[str]:
        """Give the names of the alerts that fire."""
        return {labels["alertname"] for labels, _ in self.query('ALERTS{alertstate="firing"}')}


@dataclass
class Stack:
    """Redis, workers, a model's worker, the API and Prometheus."""

    redis: BreakableRedis
    workers: Workers
    processes: Processes
    port: int  # of the API
    flows: Mapping[str, Flow]
    prometheus: Prometheus = field(init=False)

    def __post_init__(self) -> None:
        self.began = datetime.now(UTC)
        self.runtime = Runtime(Settings(redis_url=self.redis.url, version="main"), patience=0.2)

    @property
    def api(self) -> str:
        """Address of the API."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def models(self) -> Path:
        """Where models are kept."""
        return self.processes.folder / "models"

    def start_api(self, name: str, *flows: str) -> None:
        """Start the API, which knows these flows."""
        env = {
            "PIPELINE_WEB_PORT": str(self.port),
            "PIPELINE_PRICE": PRICE,
            "PIPELINE_MODELS": str(self.models),
        }
        command = [sys.executable, "-m", "pipeline.web"]
        self.processes.start(name, command, worker_env(self.redis.url, flows, "main") | env)
        self.processes.wait_ready(40, [name])

    def stop(self, name: str) -> None:
        """End one of the processes, as its container's end would."""
        child = self.processes.children[self.processes.names.index(name)]
        child.send(signal.SIGTERM)
        until(lambda: child.code is not None)


@pytest.fixture(scope="session")
def tool() -> str:
    """Where promtool is; outside CI its absence skips."""
    found = shutil.which("promtool")
    if not found and not os.environ.get("CI"):
        pytest.skip("no promtool on PATH")
    assert found, "install prometheus: it brings promtool"
    return found


@pytest.fixture(scope="module")
def stack(tool: str) -> Iterator[Stack]:
    """A deployment with entities, before its first wave."""
    with ExitStack() as opened:
        redis = opened.enter_context(BreakableRedis({"maxmemory": "256mb"}))
        workers = opened.enter_context(Workers(redis.url, [FLOWS], env={"PIPELINE_SHARD_SIZE": "5"}))
        processes = opened.enter_context(Processes(patience=0))
        made = Stack(redis, workers, processes, free_port(), load_flows([FLOWS]))
        model = ["-m", "pipeline.cli", "serve-worker", "mean", "--path", "example:mean"]
        processes.start("model", [sys.executable, *model], worker_env(redis.url, [], "main"))
        found = Registry(made.models).save("value", "all", Level(1), SPAN, entities=1, metrics=GOOD)
        Registry(made.models).promote("value", "all", found.version)
        made.start_api("api", FLOWS)
        made.prometheus = opened.enter_context(prometheus(processes, made.api))
        for name, size in (("shops", 50), ("mines", 8)):
            made.runtime.states.bind(name).update({f"{name}-{n:02}": {} for n in range(size)})
        workers.wait_ready()
        yield made


@contextmanager
def prometheus(processes: Processes, target: str) -> Iterator[Prometheus]:
    """Start a Prometheus with the repository's own configuration and rules, but quick."""
    folder = processes.folder / "prometheus-files"
    folder.mkdir()
    config = yaml.safe_load((DOCKER / "prometheus" / "prometheus.yml").read_text())
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    del config["scrape_configs"][0]["authorization"]  # this API wants no token
    config["scrape_configs"][0]["static_configs"] = [{"targets": [target.removeprefix("http://")]}]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    rules: dict[str, Any] = yaml.safe_load((DOCKER / "prometheus" / "rules.yml").read_text())
    for rule in rules["groups"][0]["rules"]:
        rule["for"] = "0s"  # what waits for how long is tested by promtool
    (folder / "rules.yml").write_text(yaml.safe_dump(rules))
    found = Prometheus(f"http://127.0.0.1:{free_port()}")
    options = {
        "config.file": folder / "prometheus.yml",
        "storage.tsdb.path": folder / "data",
        "web.listen-address": found.address.removeprefix("http://"),
        "log.level": "warn",
    }
    processes.start("prometheus", ["prometheus", *(f"--{k}={v}" for k, v in options.items())], {})
    until(lambda: _ready(found.address), 30)
    yield found


def _ready(address: str) -> bool:
    try:
        return httpx.get(f"{address}/-/ready").status_code == 200
    except httpx.TransportError:
        return False
