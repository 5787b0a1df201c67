"""python -m tests.chaos.hangs: what becomes of a chord when one task of its header goes wrong, and how soon.

Each case is run by a plain Celery chord and by a flow of the same shape. The worker takes nothing until the case's
messages lie in the queue and were made to go wrong; time counts from then on. Where a worker's main process is lost,
another one takes its place at once.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import orjson
from celery import Celery, chord
from redis import Redis

from pipeline import submit_wave
from pipeline.app import make_app
from pipeline.flows.discover import load_flows
from pipeline.local.embedded import EmbeddedRedis
from pipeline.local.processes import Workers, node_name, worker_env
from pipeline.local.supervise import Processes
from pipeline.settings import Settings
from pipeline.waves.runtime import Runtime

FLOWS = str(Path(__file__).with_name("hang_flows.py"))
CASES = {
    "raises": "raises",
    "revoked": "is revoked",
    "ignores": "raises Ignore",
    "unregistered": "is not registered",
    "expires": "has expired",
    "child": "loses its child process",
    "main": "loses its main process",
}
PAST = "2020-01-01T00:00:00+00:00"
LIMIT = 60.0  # seconds until what has not ended is said to hang
IDLE = "idle"  # a queue that nobody sends to

Start = Callable[[], Any]


@dataclass(frozen=True, slots=True)
class End:
    """How a case ended."""

    text: str
    seconds: float | None  # None: it hangs

    def __str__(self) -> str:
        return f"hangs (over {LIMIT:g} s)" if self.seconds is None else f"{self.text}, {self.seconds:.1f} s"


@dataclass(frozen=True)
class Side:
    """One of the two that are compared."""

    app: Celery
    client: Redis
    queues: Sequence[str]
    name: str  # of the task that goes wrong, as its messages are named in a queue
    send: Callable[[str], None]
    ended: Callable[[str], str | None]  # what came of a case, None while it lasts
    alive: Callable[[], bool]
    replace: Start  # starts another worker

    def run(self, case: str) -> End:
        """Run one case."""
        self.send(case)
        self._spoil(case)
        began = time.monotonic()
        self._consume()
        while time.monotonic() - began < LIMIT:
            if (text := self.ended(case)) is not None:
                end = End(text, time.monotonic() - began)
                break
            if not self.alive():
                self.replace()
                self._consume()
            time.sleep(0.05)
        else:
            end = End("hangs", None)
        self._rest()
        return end

    def _spoil(self, case: str) -> None:
        """Make the message of the faulty task go wrong, as it lies in its queue."""
        found = 0
        for queue in self.queues:
            for n, raw in enumerate(self.client.lrange(queue, 0, -1)):
                message = orjson.loads(raw)
                headers = message["headers"]
                if self.name not in (headers["shadow"], headers["task"]):
                    continue
                found += 1
                if case == "revoked":
                    self.app.control.revoke(headers["id"])
                    time.sleep(1.0)  # a broadcast has no answer that tells of its end
                elif case == "expires":
                    headers["expires"] = PAST
                elif case == "unregistered":
                    headers["task"] = "nobody.knows"
                self.client.lset(queue, n, orjson.dumps(message))
        assert found == 1, f"{found} messages of {self.name}"

    def _consume(self) -> None:
        for queue in self.queues:
            self.app.control.add_consumer(queue, reply=True, timeout=5, limit=1)

    def _rest(self) -> None:
        for queue in self.queues:
            self.app.control.cancel_consumer(queue, reply=True, timeout=5, limit=1)
            self.client.delete(queue)


@contextmanager
def plain(url: str) -> Iterator[Side]:
    """A chord of plain Celery."""
    from tests.chaos import plain as module  # noqa: PLC0415 - it reads the environment when it is imported

    app = module.app
    env = worker_env(url, [], "main") | {"PLAIN_BACKEND": url}
    with Processes(patience=3) as processes, Redis.from_url(url, decode_responses=True) as client:

        def start() -> None:
            name = f"plain{len(processes.children)}"
            command = [sys.executable, "-m", "celery", "-q", "-A", "tests.chaos.plain", "worker", "-c", "2"]
            words = ["-Q", IDLE, "-l", "WARNING", "-I", "pipeline.workers.readiness", "-n", node_name(name)]
            processes.start(name, [*command, *words], env)
            processes.wait_ready(names=[name])

        def send(case: str) -> None:
            header = [module.fine.si(case), module.faulty.si(case)]
            body = module.body.s(case=case).on_error(module.failed.s(case=case))
            chord([s.set(queue="plain") for s in header], body.set(queue="plain")).apply_async()

        start()
        yield Side(
            app,
            client,
            ["plain"],
            "tests.chaos.plain.faulty",
            send,
            lambda case: client.get(f"ended {case}"),
            lambda: processes.children[-1].code is None,
            start,
        )


@contextmanager
def ours(url: str) -> Iterator[Side]:
    """The same as a flow."""
    settings = Settings(redis_url=url, version="main")
    runtime, flow = Runtime(settings), load_flows([FLOWS])["hangs"]
    waves = {}
    with Workers(url, flows=[FLOWS], concurrency=2, queues=["control"], patience=3) as workers:
        workers.wait_ready()

        def send(case: str) -> None:
            runtime.client.delete(f"costs:main/{flow.name}")  # else small tasks would share a message
            date = f"2026-03-01T{len(waves):02}"
            waves[case] = submit_wave(flow, date=date, entities=[case], runtime=runtime)

        def ended(case: str) -> str | None:
            status = waves[case].statuses("body")[case]
            return None if status.status == "pending" else f"body {status.status}"

        def replace() -> None:
            child = workers.add()
            workers.wait_ready(names=[child.name])

        yield Side(
            make_app(settings),
            runtime.client,
            ["main.collect", "main.compute"],
            "hangs.faulty",
            send,
            ended,
            lambda: workers.children[-1].code is None,
            replace,
        )


def measure(cases: Sequence[str]) -> dict[str, tuple[End, End]]:
    """Run the cases, on either side."""
    found = {}
    with EmbeddedRedis() as first, EmbeddedRedis() as second:
        os.environ |= {
            "REDIS_URL": first.url,
            "PLAIN_BACKEND": f"pipeline.messaging.result_backend:ChordBackend+{first.url}",
        }
        with plain(first.url) as one, ours(second.url) as other:
            for case in cases:
                found[case] = (one.run(case), other.run(case))
                click.echo(f"{CASES[case]:24}  {found[case][0]!s:38}  {found[case][1]!s}")
    return found


@click.command()
@click.option("--json", "path", type=click.Path(path_type=Path), help="file for the figures")
@click.option("--case", "cases", multiple=True, type=click.Choice(list(CASES)), help="only this one")
def main(path: Path | None, cases: tuple[str, ...]) -> None:
    """Compare what becomes of a chord's body when one task of its header goes wrong."""
    click.echo(f"{'one task of the header':24}  {'a plain Celery chord':38}  celery-waves")
    found = measure(cases or tuple(CASES))
    if path:
        figures: dict[str, Any] = {}
        for case, ends in found.items():
            for side, end in zip(("plain", "ours"), ends, strict=True):
                figures |= {f"{side}_{case}": end.text, f"{side}_{case}_s": end.seconds}
        path.write_text(json.dumps(figures, indent=1) + "\n")
    if any(ends[1].seconds is None for ends in found.values()):
        sys.exit(1)


if __name__ == "__main__":
    main()
