"""Models served through the queue: real API processes, real Celery workers, real Redis."""

from __future__ import annotations

import signal
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from pipeline.local.embedded import EmbeddedRedis
from pipeline.local.supervise import Processes
from pipeline.monitoring.backlog import backlogs
from pipeline.serving.catalogue import Catalogue, Entry
from pipeline.serving.demand import REFUSED_MS, UNMEASURED
from pipeline.serving.status_board import look
from pipeline.serving.version_results import VersionResults, read
from pipeline.settings import Settings
from pipeline.waves.runtime import Runtime
from pipeline.web.tokens import line
from tests.integration.serving_stack import Stack, predict
from tests.support.servers import until

TOKEN = "a-token-of-the-tests"


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with EmbeddedRedis() as redis, Processes(patience=5) as processes, redis.client() as client:
        yield Stack(redis.url, processes, Catalogue(client, "main"), client)


@pytest.fixture(scope="module")
def api(stack: Stack) -> Iterator[httpx.Client]:
    """An API and one worker that serves `echo`, whose versions 1 and 2 there are."""
    stack.serve("echo", ("one", "two2"), deadline=5.0, instances=50)
    stack.worker("echo", slots=16)
    with stack.api() as client:
        stack.ready(client, "echo")
        yield client


# -- answers


def test_a_client_gets_a_prediction_for_each_instance_in_their_order(api):
    answer = predict(api, *range(40), headers={"X-Request-Id": "mine-1"})
    assert (answer.status_code, answer.json()) == (200, {"predictions": list(range(40))})
    assert (answer.headers["x-model-version"], answer.headers["x-request-id"]) == ("1", "mine-1")
    assert 'waves_serve_seconds_count{model="echo",version="1"}' in api.get("/metrics").text


def test_many_clients_at_once_each_get_their_own_answer(api):
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda i: predict(api, i).json()["predictions"], range(200)))
    assert answers == [[i] for i in range(200)]


def test_models_are_listed_and_described(api):
    assert "echo" in api.get("/v1/models").json()["models"]
    found = api.get("/v1/models/echo").json()
    assert (found["name"], found["ready"], found["live"], found["versions"]) == (
        "echo",
        True,
        "1",
        ["1", "2"],
    )
    assert api.get("/healthz").json() == {"status": "alive"}
    assert api.get("/readyz").json()["status"] == "ready"
    assert 'waves_serve_workers{model="echo"} 1.0' in api.get("/metrics").text


@pytest.mark.parametrize(
    ("path", "body", "status", "text"),
    [
        ("echo:predict", b"{", 400, "the body is not JSON"),
        ("echo:predict", b'{"instances": [NaN]}', 400, "NaN and Infinity are none either: send null"),
        ("echo:predict", b"\xff", 400, "the body is not JSON"),
        ("echo:predict", b"[1]", 422, 'the body must look like {"instances": [...]}'),
        ("echo:predict", b'{"instances": []}', 422, "with at least one instance"),
        ("echo:predict", b'{"instances": 7}', 422, 'the body must look like {"instances": [...]}'),
        ("ecco:predict", b"{}", 404, "no model 'ecco' is served. Did you mean 'echo'?"),
        ("echo/versions/7:predict", b'{"instances": [1]}', 404, "'echo' has no version '7'. Served: 1."),
        (
            "echo/versions/2:predict",
            b'{"instances": [1]}',
            404,
            "version '2' of 'echo' is not in memory. Served: 1.",
        ),
        ("echo:predict", b'{"instances": [%s1]}' % (b"1," * 50), 413, "51 instances are more than 50."),
        ("echo:predict", b"1" * 1_000_001, 413, "the body is larger than 1,000,000 bytes."),
        (
            "echo:predict",
            b'{"instances": [{"bad": 1}]}',
            422,
            "the model refuses this: ValueError: bad instance",
        ),
        (
            "echo:predict",
            b'{"instances": [{"fail": 1}]}',
            502,
            "the model 'echo' 1 failed: RuntimeError: broken",
        ),
        ("echo:predict", b'{"instances": [{"strange": 1}]}', 502, "predictions that JSON cannot hold"),
        ("echo", b"{}", 405, "POST is not what /v1/models/echo answers"),
        ("echo:guess", b"{}", 405, "answers"),
    ],
)
def test_bad_input_gets_the_right_status_and_is_told_what_to_do(api, path, body, status, text):
    answer = api.post(f"/v1/models/{path}", content=body)
    assert (answer.status_code, text in answer.json()["error"]) == (status, True), answer.text
    assert answer.json()["request_id"] == answer.headers["x-request-id"]


def test_nobody_pays_for_the_bad_instance_of_another_one(api):
    with ThreadPoolExecutor(16) as pool:
        bodies = [{"bad": 1} if i % 4 == 0 else i for i in range(64)]
        statuses = list(pool.map(lambda one: predict(api, one).status_code, bodies))
    assert statuses == [422 if i % 4 == 0 else 200 for i in range(64)]


def test_a_client_that_goes_away_cancels_what_has_not_begun(stack, api):
    stack.serve("queueing", batch=1)
    stack.worker("queueing", slots=1)
    stack.ready(api, "queueing")
    predict(api, 1, model="queueing")
    until(lambda: look(stack.client, "main")["queueing"].capacity.seconds)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(predict, api, {"sleep": 1.5, "note": "a"}, model="queueing")
        until(lambda: stack.client.llen("noted") == 1)
        with pytest.raises(httpx.ReadTimeout):
            predict(api, {"note": "b"}, model="queueing", timeout=0.1)
        assert first.result().status_code == 200
    assert predict(api, {"note": "c"}, model="queueing").status_code == 200
    assert stack.client.lrange("noted", 0, -1) == [b"a", b"c"]


def test_what_cannot_be_answered_in_time_is_refused_at_once(stack, api):
    stack.serve("crowded", batch=1, deadline=1.5)
    stack.worker("crowded", slots=2)
    stack.ready(api, "crowded")
    for _ in range(2):
        predict(api, {"sleep": 0.3}, model="crowded")
    until(lambda: look(stack.client, "main")["crowded"].capacity.seconds)

    def ask(_: int) -> tuple[httpx.Response, float]:
        began = time.monotonic()
        return predict(api, {"sleep": 0.3}, model="crowded"), time.monotonic() - began

    with ThreadPoolExecutor(30) as pool:
        found = list(pool.map(ask, range(30)))
    refused = [(answer, seconds) for answer, seconds in found if answer.status_code == 503]
    assert {answer.status_code for answer, _ in found} == {200, 503}
    assert max(seconds for _, seconds in refused) < 1.0
    assert all(int(answer.headers["retry-after"]) >= 1 for answer, _ in refused)
    assert "has more to do than it can answer in 1.5 s" in refused[0][0].json()["error"]


def test_a_model_without_workers_is_refused_at_once(stack, api):
    stack.serve("alone")
    until(lambda: api.get("/v1/models/alone").status_code == 200)
    answer = predict(api, 1, model="alone")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert answer.json()["error"] == ("no worker serves 'alone' now. Start one: wave serve-worker alone")


def backlog(stack: Stack, model: str) -> float:
    queue = f"main.serve.{model}"
    runtime = Runtime(Settings(redis_url=stack.url, version="main"))
    try:
        return backlogs(runtime, [queue])[queue].seconds
    finally:
        runtime.client.connection_pool.disconnect()


def test_requests_without_a_worker_are_work_that_somebody_can_be_started_for(stack, api):
    stack.serve("asleep")
    until(lambda: api.get("/v1/models/asleep").status_code == 200)
    assert backlog(stack, "asleep") == 0.0
    assert [predict(api, 1, model="asleep").status_code for _ in range(3)] == [503] * 3
    until(lambda: backlog(stack, "asleep") == pytest.approx(3 * UNMEASURED))
    stack.client.set("serve:main/asleep cost", 0.5)
    assert backlog(stack, "asleep") == pytest.approx(1.5)
    assert 0 < stack.client.pttl("serve:main/asleep refused") <= REFUSED_MS


def test_the_backlog_of_a_model_is_the_instances_that_wait_times_what_one_has_taken(stack, api):
    stack.serve("dear", batch=1)
    child = stack.worker("dear", slots=1)
    stack.ready(api, "dear")
    assert predict(api, {"sleep": 0.2}, model="dear").status_code == 200
    until(lambda: stack.client.get("serve:main/dear cost") is not None)
    cost = float(stack.client.get("serve:main/dear cost"))
    assert cost == pytest.approx(0.2, rel=0.3)
    with ThreadPoolExecutor(3) as pool:
        asked = [pool.submit(predict, api, {"sleep": 0.5}, model="dear") for _ in range(3)]
        until(lambda: backlog(stack, "dear") >= 2 * cost)
        assert {found.result().status_code for found in asked} == {200}
    until(lambda: backlog(stack, "dear") == 0.0)
    stack.kill(child, signal.SIGTERM)
    until(lambda: not look(stack.client, "main")["dear"].workers)
    assert stack.client.get("serve:main/dear cost") is not None, "kept for the next worker"


# -- losses and changes


def test_a_request_whose_worker_is_killed_is_answered_by_another_one(stack, api):
    stack.serve("mortal", batch=1)
    workers = {child.pid: child for child in (stack.worker("mortal"), stack.worker("mortal"))}
    stack.ready(api, "mortal", 2)
    with ThreadPoolExecutor(4) as pool:
        asked = [
            pool.submit(predict, api, {"sleep": 1, "give": "pid", "note": "m"}, model="mortal")
            for _ in range(4)
        ]
        until(lambda: stack.client.lrange("noted", 0, -1).count(b"m") == 4)
        stack.kill(next(iter(workers.values())))
        answers = [one.result() for one in asked]
    assert [answer.status_code for answer in answers] == [200] * 4
    survivor = list(workers)[1]
    assert {answer.json()["predictions"][0] for answer in answers} == {survivor}


def test_a_worker_that_is_told_to_end_answers_what_it_has(stack, api):
    stack.serve("leaving", batch=1)
    child = stack.worker("leaving")
    stack.ready(api, "leaving")
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(predict, api, {"sleep": 1, "give": "pid", "note": "l"}, model="leaving")
        until(lambda: b"l" in stack.client.lrange("noted", 0, -1))
        child.send(signal.SIGTERM)
        assert asked.result().json() == {"predictions": [child.pid]}
    until(lambda: child.code is not None)
    stack.ready(api, "leaving", 0)


def test_a_new_version_is_changed_over_to_without_a_failed_request(stack, api):
    stack.serve("changing", ("one", "late2"))
    stack.worker("changing")
    stack.ready(api, "changing")
    seen: list[tuple[int, str]] = []
    with ThreadPoolExecutor(4) as pool:

        def ask(_: int) -> None:
            answer = predict(api, {"sleep": 0.01}, model="changing")
            seen.append((answer.status_code, answer.json()["predictions"][0]))

        list(pool.map(ask, range(10)))
        stack.catalogue.change("changing", lambda entry: entry.promoted("2"))
        until(lambda: [pool.submit(ask, 0).result(), seen[-1][1] == "late2"][1])
    assert {status for status, _ in seen} == {200}
    assert [path for _, path in seen] == sorted((path for _, path in seen), reverse=True)  # one, then late2
    until(lambda: api.get("/v1/models/changing").json()["workers"][0]["versions"] == {"2": "ready"})


def test_traffic_is_split_sticky_and_shadows_are_compared_and_not_returned(stack, api):
    stack.serve("split", ("one", "two2", "three2"))
    stack.worker("split")
    stack.ready(api, "split")
    stack.catalogue.change("split", lambda entry: entry.split({"2": 0.5}, {"3": 1.0}, "shop"))
    held = {"1": "ready", "2": "ready", "3": "ready"}
    until(lambda: api.get("/v1/models/split").json()["workers"][0]["versions"] == held)

    def ask(key: str, **more: Any) -> str:
        return predict(api, {"give": "path", "shop": key}, model="split", **more).json()["predictions"][0]

    first = {f"key {i}": ask(f"key {i}") for i in range(20)}
    assert set(first.values()) == {"one", "two2"}
    assert {key: ask(key) for key in first} == first
    assert {key: ask("other", headers={"X-Routing-Key": key}) for key in first} == first
    pinned = api.post("/v1/models/split/versions/2:predict", json={"instances": [{}]})
    assert (pinned.json(), pinned.headers["x-model-version"]) == ({"predictions": ["two2"]}, "2")
    for _ in range(5):
        predict(api, {"give": "version"}, model="split", headers={"X-Routing-Key": "one of them"})

    def results() -> dict[str, VersionResults]:
        return {one.version: one for one in read(stack.client.hgetall("serve:main/split results"))}

    until(lambda: sum(one.answered for one in results().values()) == 66 and results()["3"].compared)
    assert results()["3"].answered == 0
    stack.catalogue.change("split", Entry.rolled_back)
    until(lambda: {ask(key) for key in first} == {"one"})


# -- who may ask, and how


def test_only_who_has_a_token_is_answered_and_not_too_often(stack, api):
    env = {"PIPELINE_TOKENS": line("ana", TOKEN), "PIPELINE_WEB_RATE": "2/s", "PIPELINE_WEB_SLOW": "0.5"}
    with stack.api("guarded", **env) as guarded:
        assert guarded.get("/healthz").status_code == guarded.get("/readyz").status_code == 200
        none = predict(guarded, 1)
        assert (none.status_code, none.headers["www-authenticate"]) == (401, "Bearer")
        assert none.json()["error"] == "the token is missing. Send the header `Authorization: Bearer TOKEN`."
        wrong = predict(guarded, 1, headers={"Authorization": "Bearer x"})
        assert (wrong.status_code, wrong.json()["error"][:27]) == (401, "the token is not known here")
        mine = {"Authorization": f"Bearer {TOKEN}"}
        assert [predict(guarded, 1, headers=mine).status_code for _ in range(2)] == [200] * 2
        answers = []
        until(lambda: answers.append(predict(guarded, 1, headers=mine)) or answers[-1].status_code != 200)
        assert (answers[-1].status_code, answers[-1].headers["retry-after"]) == (429, "1")
        assert answers[-1].json()["error"] == "more than 2 requests a second. Send fewer."
        time.sleep(0.5)  # the next one may pass
        assert slow(guarded, f"Authorization: Bearer {TOKEN}\r\nContent-Length: 20\r\n\r\n{{").startswith(
            b"HTTP/1.1 408"
        )
        assert slow(guarded, "X-Slow: ") == b""


def slow(api: httpx.Client, tail: str) -> bytes:
    """What a client is told that sends a part of its request and then nothing."""
    with socket.create_connection(("127.0.0.1", api.base_url.port), timeout=5) as client:
        client.sendall(f"POST /v1/models/echo:predict HTTP/1.1\r\nHost: x\r\n{tail}".encode())
        return client.recv(4096)


def test_a_redis_that_lost_all_data_is_served_from_again_once_the_model_is_known(stack, api):
    entry = stack.catalogue.get("echo")
    stack.client.flushdb()
    stack.catalogue.change("echo", lambda _: entry, new=True)
    until(lambda: predict(api, 1).status_code == 200)
    assert predict(api, 2).json() == {"predictions": [2]}
