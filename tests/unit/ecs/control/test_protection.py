"""A worker's task is protected while something runs: against a server that answers as the ECS agent does."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from ecs.control.protection import LINGER, MINUTES, Agent, AgentError, Protection
from tests.support.ecs_agent import ARN, GRANTED, FakeAgent, agent_running


def failed(reason: str) -> tuple[int, Any]:
    return 200, {"failure": {"Arn": ARN, "Reason": reason}}


def error(status: int, code: str, text: str) -> tuple[int, Any]:
    return status, {"requestID": "1-2", "error": {"Arn": ARN, "Code": code, "Message": text}}


@pytest.fixture(scope="module")
def running() -> Iterator[FakeAgent]:
    with agent_running() as found:
        yield found


@pytest.fixture
def agent(running: FakeAgent) -> FakeAgent:
    running.asked.clear()
    running.answer = GRANTED
    return running


class Worker:
    """A worker's clock and whether it runs something."""

    def __init__(self, agent: FakeAgent) -> None:
        self.now, self.busy = 1000.0, False
        self.protection = Protection(Agent(agent.uri), lambda: self.busy, lambda: self.now)

    def at(self, seconds: float, busy: bool) -> None:
        self.now, self.busy = 1000.0 + seconds, busy
        self.protection.tick()


def test_protection_is_asked_for_once_when_work_begins_and_given_up_once_after_it(agent):
    worker = Worker(agent)
    worker.at(0, False)
    assert agent.asked == []
    for moment in range(1, 20):
        worker.at(moment, True)
    assert agent.asked == [
        (
            "/api/container-1/task-protection/v1/state",
            {"ProtectionEnabled": True, "ExpiresInMinutes": MINUTES},
        )
    ]
    for moment in range(20, 40):
        worker.at(moment, False)
    assert agent.asked[1:] == [("/api/container-1/task-protection/v1/state", {"ProtectionEnabled": False})]


def test_a_moment_between_two_messages_changes_nothing(agent):
    worker = Worker(agent)
    for moment in range(30):
        worker.at(moment, busy=moment % 3 == 0)
    assert agent.enabled == [True]


def test_protection_is_renewed_before_it_ends(agent):
    worker = Worker(agent)
    for minute in range(2 * MINUTES):
        worker.at(60.0 * minute, True)
    assert agent.enabled == [True] * 4


def test_work_that_begins_again_after_it_was_given_up_is_protected_again(agent):
    worker = Worker(agent)
    worker.at(0, True)
    worker.at(LINGER + 1, False)
    worker.at(LINGER + 2, True)
    assert agent.enabled == [True, False, True]


@pytest.mark.parametrize(
    ("answer", "code", "text", "lasting"),
    [
        (failed("TASK_NOT_VALID"), "TASK_NOT_VALID", "only if it belongs to a service", True),
        (failed("DEPLOYMENT_BLOCKED"), "DEPLOYMENT_BLOCKED", "", False),
        (
            error(400, "InvalidParameterException", "failed to decode request"),
            "InvalidParameterException",
            "",
            True,
        ),
        (
            error(403, "AccessDeniedException", "no task IAM role credentials available"),
            "AccessDenied",
            "role",
            True,
        ),
        (error(404, "ResourceNotFoundException", "Failed to find a task"), "ResourceNotFound", "find", True),
        (error(400, "ThrottlingException", "Rate exceeded"), "ThrottlingException", "Rate exceeded", False),
        (error(500, "ServerException", "Unexpected error occurred"), "ServerException", "Unexpected", False),
        (
            error(504, "RequestCanceled", "Timed out calling ECS Task Protection API"),
            "RequestCanceled",
            "",
            False,
        ),
        ((502, b"<html>bad gateway"), "status 502", "bad gateway", False),
        ((200, b"[]"), "status 200", "[]", False),
        ((200, {}), "status 200", "{}", False),
    ],
)
def test_every_form_of_refusal_is_told(agent, answer, code, text, lasting):
    agent.answer = answer
    with pytest.raises(AgentError) as found:
        Agent(agent.uri).protect(True)
    assert str(found.value).startswith(f"the ECS agent does not change the task's protection: {code}")
    assert text in str(found.value)
    assert found.value.lasting is lasting


def test_an_agent_that_is_not_there_is_told(agent):
    with pytest.raises(AgentError, match=r"protection: no answer: .*refused"):
        Agent("http://127.0.0.1:1/api/x").protect(True)


def test_what_passes_is_asked_again_soon_and_ever_more_rarely(agent):
    agent.answer = error(400, "ThrottlingException", "Rate exceeded")
    worker = Worker(agent)
    for tenth in range(600):
        worker.at(tenth / 10, True)
    assert 4 <= len(agent.asked) <= 6  # after about 0, 2, 6, 14, 30 seconds
    agent.answer = GRANTED
    for moment in range(60, 200):
        worker.at(moment, True)
    assert agent.enabled[-1] is True
    before = len(agent.asked)
    worker.at(201, True)
    assert len(agent.asked) == before, "it holds"


def test_what_lasts_is_asked_again_rarely_and_logged_once(agent, caplog):
    agent.answer = failed("TASK_NOT_VALID")
    worker = Worker(agent)
    for second in range(600):
        worker.at(second, True)
    assert len(agent.asked) <= 8
    assert len([r for r in caplog.records if "TASK_NOT_VALID" in r.getMessage()]) == 1


def test_a_refused_release_is_asked_again(agent):
    worker = Worker(agent)
    worker.at(0, True)
    agent.answer = error(500, "ServerException", "Unexpected error occurred")
    worker.at(LINGER + 1, False)
    agent.answer = GRANTED
    worker.at(LINGER + 10, False)
    worker.at(LINGER + 11, False)
    assert agent.enabled == [True, False, False]


def test_the_thread_gives_the_protection_up_at_the_worker_s_end(agent):
    begun = threading.Event()

    def busy() -> bool:
        begun.set()
        return True

    protection = Protection(Agent(agent.uri), busy)
    protection.start()
    assert begun.wait(5)
    protection.stop()
    assert agent.enabled == [True, False]
