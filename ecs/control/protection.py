"""Keeps a worker's ECS task from being stopped by a scale-in or a deployment while it runs something.

Loaded into a worker by `celery worker -I ecs.control.protection`; does nothing where ECS_AGENT_URI is not set. A
thread of the worker's main process sees when its children begin to run something and when they have ended, and tells
the agent of it: once when it begins, again before the protection would end, and once when the worker has been idle
for a while.

The agent's answers (task-protection/v1): status 200 holds `protection`, or `failure` with a Reason, as for a task that
belongs to no service; other statuses hold `error` with a Code: 400 for a bad request, 403 without a task role, 404 for
an unknown task, 500, 504 when ECS does not answer the agent, and those that ECS gave it, such as ThrottlingException.
"""

from __future__ import annotations

import os
import random
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import orjson
from celery import signals
from celery.worker import state as worker_state

from pipeline.errors import PipelineError
from pipeline.telemetry.logs import get_logger
from pipeline.workers.worker import held

log = get_logger("ecs.protection")

AGENT = "ECS_AGENT_URI"
PATH = "/task-protection/v1/state"
TIMEOUT = 10.0  # seconds; the agent itself gives ECS some seconds
LOOK = 0.25  # seconds between two looks at what runs
MINUTES = 10  # that a protection holds; a worker that hangs or is killed frees its task so soon
RENEW = 0.5  # of them, after which it is renewed
LINGER = 5.0  # seconds without work until it is given up: a worker idles for a moment between two messages
WAIT, LONGEST = 2.0, 120.0  # seconds after the first failure, and after many
LASTING = {
    "TASK_NOT_VALID",
    "AccessDeniedException",
    "InvalidParameterException",
    "ResourceNotFoundException",
}

_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # the agent lies behind no proxy


class AgentError(PipelineError):
    """The agent refused, or did not answer."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(f"the ECS agent does not change the task's protection: {code}: {text}")
        self.code = code

    @property
    def lasting(self) -> bool:
        """Whether the same will be answered until somebody changes the task's role or service."""
        return self.code in LASTING


@dataclass(frozen=True, slots=True)
class Agent:
    """The agent's endpoint of this task."""

    uri: str
    timeout: float = TIMEOUT

    def protect(self, enabled: bool, minutes: int = MINUTES) -> None:
        """Turn the protection on for so many minutes, or off. Raises AgentError."""
        body = {"ProtectionEnabled": enabled} | ({"ExpiresInMinutes": minutes} if enabled else {})
        request = urllib.request.Request(
            self.uri.rstrip("/") + PATH,
            orjson.dumps(body),
            {"Content-Type": "application/json"},
            method="PUT",
        )
        try:
            with _DIRECT.open(request, timeout=self.timeout) as answer:
                _check(answer.status, answer.read())
        except urllib.error.HTTPError as error:
            with error:
                _check(error.code, error.read())
        except OSError as error:
            raise AgentError("no answer", str(error)) from None


def _check(status: int, body: bytes) -> None:
    """Accept an answer that tells of a protection; raise what any other says."""
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        found = None
    if not isinstance(found, dict):
        raise AgentError(f"status {status}", repr(body[:200]))
    if isinstance(failure := found.get("failure"), dict):
        detail = failure.get("Detail") or "a task can be protected only if it belongs to a service"
        raise AgentError(str(failure.get("Reason")), str(detail))
    if isinstance(error := found.get("error"), dict):
        raise AgentError(str(error.get("Code")), str(error.get("Message")))
    if status != 200 or "protection" not in found:
        raise AgentError(f"status {status}", repr(body[:200]))


class Protection:
    """Tells the agent of the edges: something runs now, nothing has run for a while."""

    def __init__(
        self, agent: Agent, busy: Callable[[], Any], clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Take what says whether this worker runs something."""
        self._agent = agent
        self._busy = busy
        self._clock = clock
        self._until = 0.0  # when the present protection ends; 0 for none
        self._worked = -LINGER  # when something ran last
        self._next, self._failures = 0.0, 0  # when the agent may be asked again
        self._told = ""  # the last failure that was logged
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Look at what runs in a thread of its own."""
        self._thread = threading.Thread(target=self._loop, name="ecs-protection", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread, and give a protection up."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout=TIMEOUT)
        if self._until:
            self._ask(False)

    def _loop(self) -> None:
        while not self._stop.wait(LOOK):
            try:
                self.tick()
            except Exception:
                log.exception("the protection met an error and goes on")

    def tick(self) -> None:
        """Look once, and ask the agent if there is something to ask."""
        now = self._clock()
        if self._busy():
            self._worked = now
        wanted = now - self._worked < LINGER
        stale = now >= self._until - (1 - RENEW) * MINUTES * 60
        if now >= self._next and ((wanted and stale) or (not wanted and self._until)):
            self._ask(wanted)

    def _ask(self, wanted: bool) -> None:
        now = self._clock()
        try:
            self._agent.protect(wanted)
        except AgentError as error:
            self._failures += 1
            wait = LONGEST if error.lasting else min(WAIT * 2 ** (self._failures - 1), LONGEST)
            self._next = now + wait * random.uniform(0.8, 1.2)  # the tasks of a service fail together
            if now >= self._until:
                self._until = 0.0
            if error.code != self._told:
                self._told = error.code
                log.warning(
                    "this task is not protected from scale-in; trying again", error=str(error), seconds=wait
                )
            return
        self._until = now + MINUTES * 60 if wanted else 0.0
        self._failures, self._next, self._told = 0, 0.0, ""


class Activity:
    """Says whether something runs, or has run since it was asked last: a message may be shorter than that."""

    def __init__(self) -> None:
        self._accepted = 0

    def __call__(self) -> bool:
        """Look at what the worker has accepted so far, and at what runs now."""
        before, self._accepted = self._accepted, worker_state.all_total_count[0]
        return self._accepted != before or bool(held())


@signals.worker_ready.connect
def _protect(**_: Any) -> None:
    """Begin in the worker's main process, where there is an agent."""
    if uri := os.environ.get(AGENT):
        protection = Protection(Agent(uri), Activity())
        protection.start()
        signals.worker_shutdown.connect(lambda **_: protection.stop(), weak=False)
