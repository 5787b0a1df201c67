"""What runs in an environment: one service a role, with its image, command and size. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from pipeline.errors import SettingsError, listed

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
    rights: str = ""  # Worker, Serve, Web or Control: what it may do in AWS (`iam_roles`); "" for nothing
    within: int = (
        60  # seconds in which a slot is to work off what lies before it, where its count follows the queues
    )

    @property
    def key(self) -> str:
        """The first part of its logical ids: worker-collect -> WorkerCollect."""
        return "".join(word[:1].upper() + word[1:] for word in re.split("[-_]+", self.name))

    @property
    def scales(self) -> bool:
        """Whether its count follows its queues, from zero on."""
        return bool(self.queues)


def worker(kind: str, pool: str, slots: int, cpu: int, memory: int) -> Role:
    """Build the role of workers of one kind of queue."""
    words = ("worker", "-P", pool, "-c", str(slots), "-Q", f"${{Version}}.{kind}", "-l", "WARNING")
    loaded = (
        "-I",
        "pipeline.workers.readiness,ecs.control.protection",
        "--without-gossip",
        "--without-mingle",
    )
    return Role(
        f"worker-{kind}", tuple(CELERY), words + loaded, cpu, memory, queues=(kind,), slots=slots, spot=True,
        rights="Worker",
    )  # fmt: skip


COLLECT = worker("collect", "threads", 16, 512, 1024)
COMPUTE = worker("compute", "prefork", 2, 2048, 4096)
SOLO = worker("solo", "prefork", 1, 1024, 2048)
# Beat asks for waves by a message; a second container of its task starts them, so that none waits for a first worker.
BEAT = Role("beat", tuple(CELERY), ("beat", "-l", "WARNING"), 256, 1024)
STARTER = (
    "worker",
    "-P",
    "solo",
    "-Q",
    "${Version}.control",
    "-l",
    "WARNING",
    "-I",
    "pipeline.workers.readiness",
)
CONTROL = Role("control", ("wave",), ("ecs", "control"), 256, 512, rights="Control")
WEB = Role(
    "web", ("python", "-m", "pipeline.web"), (), 512, 1024, image=WEB_IMAGE, condition="HasApi", rights="Web"
)
SERVE = Role(
    "serve-worker",
    ("wave",),
    ("serve-worker", "${ServeModel}", "--slots", "4", "--wait"),
    1024,
    2048,
    queues=("serve.${ServeModel}",),
    slots=4,
    condition="HasModel",
    rights="Serve",
    within=1,  # somebody waits for each answer
)
ROLES = (CONTROL, BEAT, COLLECT, COMPUTE, SOLO, WEB, SERVE)

MOST_OWN = 8  # kinds of queues of one's own
POOLS = ("prefork", "threads")
SIZES = {256: (512, 2048), 512: (1024, 4096), 1024: (2048, 8192), 2048: (4096, 16384), 4096: (8192, 30720)}
OWN = ("prefork", 2, 2048, 4096)  # what workers of a kind of one's own have where nothing is said


def own_roles(texts: Iterable[str]) -> tuple[Role, ...]:
    """Read kinds of queues that the user's tasks name: KIND[=POOL:SLOTS:CPU:MEMORY]. Raises SettingsError."""
    found = tuple(map(_own, texts))
    keys = [role.key.lower() for role in (*ROLES, *found)]
    twice = [role.name for role in found if keys.count(role.key.lower()) > 1]
    if twice:
        raise SettingsError(
            f"there would be workers of the same name twice: {listed(twice)}. Name each kind of queue once, and none "
            "of the engine's."
        )
    if len(found) > MOST_OWN:
        raise SettingsError(
            f"{len(found)} kinds of queues are too many for one template: {MOST_OWN} are the most."
        )
    return found


def _own(text: str) -> Role:
    kind, _, size = text.partition("=")
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]{0,19}", kind) or kind == "control":
        raise SettingsError(
            f"--queue {text!r}: {kind!r} cannot name workers. Use up to 20 letters, digits, - and _, with a letter "
            "first; control is the engine's own."
        )
    words = size.split(":") if size else [str(word) for word in OWN]
    example = f"--queue {kind}={':'.join(str(word) for word in OWN)}"
    if (
        len(words) != 4
        or words[0] not in POOLS
        or not all(word.isdecimal() and int(word) for word in words[1:])
    ):
        raise SettingsError(
            f"--queue {text!r} is not a size of workers. Write pool ({listed(POOLS)}), slots, CPU (1024 is a core) and "
            f"memory (MiB), as in {example}"
        )
    slots, cpu, memory = map(int, words[1:])
    least, most = SIZES.get(cpu, (0, 0))
    if not least <= memory <= most or (memory % 1024 and memory != 512):
        sizes = "; ".join(f"{cpu} with {low} to {high}" for cpu, (low, high) in SIZES.items())
        raise SettingsError(
            f"--queue {text!r}: Fargate has no task of {cpu} CPU and {memory} MiB. It has {sizes}, in steps of 1024."
        )
    return worker(kind, words[0], slots, cpu, memory)
