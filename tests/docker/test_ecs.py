"""Environments on ECS with real containers, which ministack runs from the templates.

What it lacks is played here: Application Auto Scaling by the control service itself, which lowers counts too where it
is told so, and the agent of a task, which protects it, by a small server.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import boto3
import orjson
import pytest
from click.testing import CliRunner

from ecs.cli import ecs
from ecs.control.scaling import Aws
from ecs.deployment import deployer
from ecs.deployment.images import TARGETS, repository
from ecs.templates.naming import Place
from ecs.templates.service_roles import CELERY, Role
from pipeline import Wave, submit_wave
from pipeline.flows.discover import load_flows
from pipeline.settings import Settings
from pipeline.waves.runtime import Runtime
from tests.docker.conftest import HERE, Image
from tests.docker.engine import Container, build, docker, wait
from tests.support import stacks
from tests.support.aws import REGION, ministack

WORKER, WAVE = "celery-waves-ecs-worker:tests", "celery-waves-ecs-wave:tests"
MAIN, BRANCH = Place("dev").stack, Place("dev", "try-2").stack
COLLECT, COMPUTE = f"{MAIN}-worker-collect", f"{MAIN}-worker-compute"
ENTITIES = [f"meter{n:04}" for n in range(500)]  # 25 s of work of one slot

pytestmark = pytest.mark.timeout(300, func_only=True)  # what fixtures run has limits of its own


@dataclass
class Agents:
    """What the agents of all tasks were asked for, by the addresses of the containers."""

    protected: dict[str, bool] = field(default_factory=dict)
    ever: set[str] = field(default_factory=set)

    def put(self, address: str, enabled: bool) -> None:
        self.protected[address] = enabled
        if enabled:
            self.ever.add(address)


@dataclass(frozen=True)
class Cloud:
    """ministack with what lies beside it."""

    redis: str
    agents: Agents
    secret: str

    @property
    def runtime(self) -> Runtime:
        return Runtime(Settings(redis_url=self.redis, version="main"))

    def wave(self, *words: str) -> str:
        said = CliRunner().invoke(ecs, words)
        assert said.exit_code == 0, said.output
        return said.output

    def deploy(self, branch: str = "main") -> None:
        given = [
            "-p",
            "MaxTasks=2",
            "-p",
            "Goal=20",
            "-p",
            "BeatCount=0",
            "-s",
            f"RedisUrlSecretArn={self.secret}",
        ]
        self.wave("deploy", "--env", "dev", "--branch", branch, "--tag", "main", "--flows", "slow", *given)


@pytest.fixture(scope="module")
def cloud(images: Mapping[str, Image]) -> Iterator[Cloud]:
    _derive(images["worker"].name)
    redis = Container(docker("run", "-d", "--label", "ministack=redis", images["redis"].name))
    try:
        address, gateway = redis.address, redis.gateway
        with (
            ministack(os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock"), gateway),
            _agents(gateway) as agents,
        ):
            secret = boto3.client("secretsmanager").create_secret(
                Name="redis", SecretString=f"redis://{address}:6379/0"
            )
            _pushed()
            with pytest.MonkeyPatch.context() as patch:
                uri = f"http://{gateway}:{agents[1]}"
                url = f"redis://{address}:6379/0"
                patch.setattr(deployer, "render", lambda own=(): _template(own, uri, url))
                yield Cloud(url, agents[0], secret["ARN"])
    finally:
        left = docker("ps", "-aq", "--filter", "label=ministack").split()
        docker("rm", "-fv", *left)


def _derive(worker: str) -> None:
    """Make images with the flows; one has another entry point, since ministack knows commands only."""
    text = f"FROM {worker}\nCOPY slow.py /app/slow.py\n"
    for image, more in ((WORKER, ""), (WAVE, 'ENTRYPOINT ["wave"]\n')):
        path = HERE / "flows" / f".{image.partition(':')[0]}"
        path.write_text(text + more)
        try:
            build(image, "-f", str(path), str(HERE / "flows"))
        finally:
            path.unlink()


def _pushed() -> None:
    ecr = boto3.client("ecr")
    for target in TARGETS.values():
        ecr.create_repository(repositoryName=repository(target))
        ecr.put_image(repositoryName=repository(target), imageManifest="{}", imageTag="main")


def _template(own: tuple[Role, ...], agent: str, redis: str) -> str:
    """Give what ministack can deploy, with what AWS and its agent would give to containers."""
    found = stacks.reduced(own)
    # Secrets of a task that a template defines do not reach its containers.
    given = {
        "REDIS_URL": redis,
        "ECS_AGENT_URI": agent,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ACCESS_KEY_ID": "x",
    }
    given |= {"AWS_SECRET_ACCESS_KEY": "x", "AWS_EC2_METADATA_DISABLED": "true"}
    for one in stacks.containers(found):
        one["Image"] = WORKER if one["EntryPoint"] == CELERY else WAVE
        one["Environment"] += [{"Name": name, "Value": value} for name, value in given.items()]
        if one["Name"] == "control":
            one["Command"] += ["--every", "1"]
            for each in one["Environment"]:
                if each["Name"] == "ECS_SERVICES":
                    faster = '"startup": 10, "scale_in": true, "hold": 8, "goal"'
                    text = (
                        orjson.dumps(each["Value"]).decode().replace('\\"goal\\"', faster.replace('"', '\\"'))
                    )
                    each["Value"] = orjson.loads(text)
    for name, one in found["Resources"].items():
        if name.startswith("Worker") and one["Type"] == "AWS::ECS::Service":
            one["Properties"]["DesiredCount"] = 0  # as it is between waves
    return stacks.text(found)


class _Agents:
    def __init__(self, host: str) -> None:
        self.agents = agents = Agents()

        class Handler(BaseHTTPRequestHandler):
            def do_PUT(self) -> None:
                asked = orjson.loads(self.rfile.read(int(self.headers["Content-Length"])))
                agents.put(self.client_address[0], asked["ProtectionEnabled"])
                answer = orjson.dumps({"protection": asked})
                self.send_response(200)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer((host, 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)

    def __enter__(self) -> tuple[Agents, int]:
        self.thread.start()
        return self.agents, self.server.server_address[1]

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(10)


def _agents(host: str) -> _Agents:
    return _Agents(host)


def counts() -> dict[str, int]:
    """The tasks that are wanted of both kinds of workers."""
    found = Aws.of(cluster()).counts([COLLECT, COMPUTE])
    return {name: one.desired for name, one in found.items()}


def cluster() -> str:
    outputs = boto3.client("cloudformation").describe_stacks(StackName=MAIN)["Stacks"][0]["Outputs"]
    return next(each["OutputValue"] for each in outputs if each["OutputKey"] == "Cluster")


def addresses(family: str) -> set[str]:
    """The addresses of the running containers of a task definition."""
    own = f"label=com.amazonaws.ecs.task-definition-family={family}"
    names = docker("ps", "-q", "--filter", own).split()
    form = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
    return set(docker("inspect", "--format", form, *names).split()) if names else set()


def written() -> str:
    """What Redis and the containers of tasks wrote last."""
    names = docker("ps", "-aq", "--filter", "label=ministack", "--format", "{{.Names}}").split()
    return "\n".join(f"{name} said:\n{Container(name).logs()}" for name in names)


def submitted(cloud: Cloud) -> Wave:
    flow = load_flows([str(HERE / "flows" / "slow.py")])["slow"]
    entities = {name: {} for name in ENTITIES}
    return submit_wave(flow, date="2026-01-01T12", entities=entities, runtime=cloud.runtime)


def exits(since: float) -> list[str]:
    """What the containers of workers have ended with."""
    form = "{{.Actor.Attributes.exitCode}}"
    words = ["--since", f"{since:.0f}", "--until", f"{time.time():.0f}", "--filter", "event=die"]
    families = [f"label=com.amazonaws.ecs.task-definition-family={name}" for name in (COLLECT, COMPUTE)]
    return [
        code
        for family in families
        for code in docker("events", *words, "--filter", family, "--format", form).split()
    ]


def test_a_wave_at_zero_workers_starts_them_and_they_go_when_it_has_ended(cloud: Cloud):
    cloud.deploy()
    assert counts() == {COLLECT: 0, COMPUTE: 0}
    began, wave = time.time(), submitted(cloud)
    wait(lambda: all(counts().values()), "tasks are asked for at the submission", 60, written)
    least = dict.fromkeys((COLLECT, COMPUTE), 0)
    kept = True
    while wave.info().state != "closed":
        now = counts()
        least = {name: max(least[name], now[name]) for name in now}
        kept = kept and now[COMPUTE] == least[COMPUTE]  # nobody is taken away in the middle
        assert time.time() - began < 150, f"not within 150 s: the wave is closed\n{written()}"
        time.sleep(0.3)
    assert kept
    assert least[COMPUTE] == 2
    assert wave.progress().tasks["worked"] == {"finished": len(ENTITIES)}
    working = addresses(COMPUTE)
    assert working
    assert working <= cloud.agents.ever, "each was protected while it worked"
    wait(lambda: counts() == {COLLECT: 0, COMPUTE: 0}, "the counts go back to zero", 60, written)
    assert not any(cloud.agents.protected[address] for address in working), (
        "only when none was protected any more"
    )
    wait(
        lambda: not addresses(COMPUTE) | addresses(COLLECT),
        "all containers of workers have ended",
        60,
        written,
    )
    assert set(exits(began)) == {"0"}


def test_a_branch_is_removed_with_its_keys_by_a_task_of_its_own(cloud: Cloud):
    cloud.deploy("try-2")
    runtime = cloud.runtime
    runtime.store.put("try-2", "worked", "2999-01-01T12", {"meter": 1.0}, 3600)
    runtime.store.put("main", "worked", "2999-01-01T12", {"meter": 1.0}, 3600)
    said = cloud.wave("destroy", "--env", "dev", "--branch", "try-2", "--yes")
    assert said.splitlines()[0] == f"{BRANCH}: its keys in Redis are removed"
    assert said.splitlines()[-1] == f"{BRANCH}: removed"
    client: Any = runtime.client
    assert not list(client.scan_iter("try-2/*"))
    assert list(client.scan_iter("main/*"))
    assert addresses(f"{BRANCH}-control") == set()


def test_a_command_runs_inside_an_environment(cloud: Cloud):
    cloud.deploy()
    said = cloud.wave("run", "--env", "dev", "--", "serving", "add", "mean", "1", "example:mean")
    assert said.startswith("wave serving add mean 1 example:mean: ended well.")
    assert cloud.runtime.client.hexists("serve:main", "mean")
