"""What runs in an environment: one service a role, with its image, command and size. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

WORKER_IMAGE, WEB_IMAGE = "WorkerImage", "WebImage"  # parameters of the template
CELERY = ["python", "-m", "celery", "-q", "-A", "pipeline.app"]
STOP_TIMEOUT = 120  # seconds between SIGTERM and SIGKILL, the longest that Fargate allows
DRAIN = 100  # seconds of them in which running tasks may end; what still runs then is given back


@dataclass(frozen=True, slots=True)
class Role:
    """One service of an environment."""

    name: str  # as people write it
    entry: tuple[str, ...]
    command: tuple[str, ...]  # ${Version} stands for the environment's version
    cpu: int  # 1024 is a core
    memory: int  # MiB
    image: str = WORKER_IMAGE
    queues: tuple[str, ...] = ()  # kinds that it takes from, where its count follows them
    slots: int = 1  # messages that one task runs at a time
    spot: bool = False  # on spare capacity, which AWS takes back with two minutes' notice
    condition: str = ""  # of the template, without which there is no such service
    policy: str = ""  # "control" for the role of the control service

    @property
    def key(self) -> str:
        """The first part of its logical ids: worker-collect -> WorkerCollect."""
        return "".join(word.capitalize() for word in self.name.split("-"))

    @property
    def scales(self) -> bool:
        """Whether its count follows its queues, from zero on."""
        return bool(self.queues)


def worker(kind: str, pool: str, slots: int, cpu: int, memory: int) -> Role:
    """Make the role of workers of one kind of queue."""
    words = ("worker", "-P", pool, "-c", str(slots), "-Q", f"${{Version}}.{kind}", "-l", "WARNING")
    loaded = ("-I", "pipeline.ready,ecs.protection", "--without-gossip", "--without-mingle")
    name = f"worker-{kind}"
    return Role(name, tuple(CELERY), words + loaded, cpu, memory, queues=(kind,), slots=slots, spot=True)


COLLECT = worker("collect", "threads", 16, 512, 1024)
COMPUTE = worker("compute", "prefork", 2, 2048, 4096)
SOLO = worker("solo", "prefork", 1, 1024, 2048)
# Beat asks for waves by a message; a second container of its task starts them, so that none waits for a first worker.
BEAT = Role("beat", tuple(CELERY), ("beat", "-l", "WARNING"), 256, 1024)
STARTER = ("worker", "-P", "solo", "-Q", "${Version}.control", "-l", "WARNING", "-I", "pipeline.ready")
CONTROL = Role("control", ("wave",), ("ecs", "control"), 256, 512, policy="control")
WEB = Role("web", ("python", "-m", "pipeline.web"), (), 512, 1024, image=WEB_IMAGE, condition="HasApi")
SERVE = Role(
    "serve-worker",
    ("wave",),
    ("serve-worker", "${ServeModel}", "--slots", "4"),
    1024,
    2048,
    queues=("serve.${ServeModel}",),
    slots=4,
    condition="HasModel",
)
ROLES = (CONTROL, BEAT, COLLECT, COMPUTE, SOLO, WEB, SERVE)


def sub(text: str) -> Any:
    """Write a text for the template, which puts parameters in where it names them."""
    return {"Fn::Sub": text} if "${" in text else text
