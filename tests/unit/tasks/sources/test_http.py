"""JSON over HTTP from a real server: what is asked, what is taken, when it is asked again, and what errors tell."""

from __future__ import annotations

import gzip
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from pipeline import Flow
from pipeline.errors import DurationError, RunError, TaskError
from pipeline.flows.entity import Entity
from pipeline.testing import run_wave
from tasks.sources import http_client
from tasks.sources.http import http_json
from tasks.sources.http_client import backoff, client_of, close_clients, new_client, retry_after, sent_at

DATE = datetime(2013, 6, 25, 13, tzinfo=UTC)
JFK = Entity("JFK-LAX", {"origin": "JFK", "airline": "AA/US"}, "JFK")


class Server(ThreadingHTTPServer):
    """Answers as it was told, one answer after the other, the last one for ever."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: list[tuple[int, dict[str, str], bytes]] = [(200, {}, b"1")]
        self.requests: list[tuple[str, dict[str, list[str]], dict[str, str]]] = []
        self.connections: Counter[tuple[str, int]] = Counter()
        self.pause = 0.0
        self.together = threading.Barrier(1)

    def handle_error(self, *_: object) -> None:
        """A client that hangs up is no news."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def says(self, *answers: object, **headers: str) -> None:
        """Tell it what to answer: a status, or else a value as JSON, or bytes."""
        self.answers = [
            (200, headers, answer)
            if isinstance(answer, bytes)
            else (answer, headers, b"out of order")
            if type(answer) is int and answer >= 100
            else (200, headers, json.dumps(answer).encode())
            for answer in answers
        ]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        self.server.requests.append(
            (parts.path, parse_qs(parts.query), {k.lower(): v for k, v in self.headers.items()})
        )
        self.server.connections[self.client_address] += 1
        answers = self.server.answers
        status, headers, body = answers.pop(0) if len(answers) > 1 else answers[0]
        self.server.together.wait(30)
        time.sleep(self.server.pause)
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body if status != 204 else b"")

    def log_message(self, *_: object) -> None: ...


@pytest.fixture(autouse=True)
def _direct(monkeypatch) -> Iterator[None]:
    """No proxy between us and the server, quick waits, and no connection left open."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(http_client, "FIRST_WAIT", 0.01)
    yield
    close_clients()


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def error(made, entity: str = JFK) -> str:
    with pytest.raises(RunError) as caught:
        made(entity, DATE)
    return str(caught.value)


def refused(*args, **options) -> str:
    with pytest.raises((TaskError, DurationError)) as caught:
        http_json(*args, **options)
    return str(caught.value)


# What is asked


def test_address_and_query_are_filled_in_from_the_entity_and_the_hour(server):
    made = http_json(
        "departures",
        server.url + "/v1/{origin}/{airline}/{partition}?fixed=yes",
        params={
            "route": "{entity}",
            "day": "{date:%d.%m.%Y %H}",
            "from": "{date}",
            "to": "{end}",
            "at": "{date:unix}",
            "n": 5,
        },
        headers={"X-Key": "k"},
    )
    assert made(JFK, DATE) == 1
    ((path, query, headers),) = server.requests
    assert path == "/v1/JFK/AA%2FUS/JFK"
    assert query == {
        "fixed": ["yes"],
        "route": ["JFK-LAX"],
        "day": ["25.06.2013 13"],
        "from": ["2013-06-25T13:00:00Z"],
        "to": ["2013-06-25T14:00:00Z"],
        "at": ["1372165200"],
        "n": ["5"],
    }
    assert headers["x-key"] == "k"


def test_query_and_headers_may_be_functions(server, monkeypatch):
    made = http_json(
        "departures",
        server.url,
        params=lambda entity, date: {"origin": entity.partition("-")[0], "hour": date.hour},
        headers=lambda: {"Authorization": f"Bearer {os.environ['TOKEN']}"},
    )
    monkeypatch.setenv("TOKEN", "first")
    made("JFK-LAX", DATE)
    monkeypatch.setenv("TOKEN", "second")
    made("JFK-LAX", DATE)
    assert [query for _, query, _ in server.requests] == [{"origin": ["JFK"], "hour": ["13"]}] * 2
    assert [headers["authorization"] for _, _, headers in server.requests] == [
        "Bearer first",
        "Bearer second",
    ]


def test_a_wave_asks_for_eight_entities_at_a_time(server):
    server.together = threading.Barrier(8)  # nobody is answered before eight have asked
    made = http_json("departures", server.url + "/{entity}", request_timeout="30s")
    keys = [f"e{i}" for i in range(16)]
    wave = run_wave(Flow("f", [made]), keys, DATE)
    assert {wave.result("departures", key) for key in keys} == {1}
    assert sorted(path for path, _, _ in server.requests) == sorted(f"/{key}" for key in keys)


def test_requests_share_one_client_and_its_connections(server):
    one, other = (http_json(name, server.url + "/{entity}") for name in ("one", "other"))
    for _ in range(3):
        one("a", DATE)
        other("b", DATE)
    assert list(server.connections.values()) == [6]


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_process_opens_connections_of_its_own(server):
    made = http_json("departures", server.url)
    made("a", DATE)
    pid = os.fork()
    if pid == 0:
        try:
            os._exit(made("a", DATE) - 1)
        finally:
            os._exit(9)
    assert os.waitpid(pid, 0)[1] == 0
    made("a", DATE)
    assert sorted(server.connections.values()) == [1, 2]


def test_cookies_are_not_kept(server):
    server.says({}, Set_Cookie="session=1")
    made = http_json("departures", server.url)
    made("a", DATE)
    made("b", DATE)
    assert "cookie" not in server.requests[1][2]


def test_the_client_may_be_ones_own(server):
    def own() -> httpx.Client:
        return httpx.Client(headers={"user-agent": "mine"})

    http_json("departures", server.url, client=own)("a", DATE)
    assert server.requests[0][2]["user-agent"] == "mine"
    assert client_of(own) is client_of(own) is not client_of(new_client)


# What is taken


@pytest.mark.parametrize(
    ("select", "value"),
    [
        (None, {"data": [{"mean": 12.5, "JFK-LAX": 7}], "empty": None}),
        ("data.0.mean", 12.5),
        ("data.-1.{entity}", 7),
        ("empty", None),
        (lambda answer: len(answer["data"]), 1),
    ],
)
def test_the_value_is_selected_by_a_path_or_a_function(server, select, value):
    server.says({"data": [{"mean": 12.5, "JFK-LAX": 7}], "empty": None})
    assert http_json("departures", server.url, select=select)(JFK, DATE) == value


def test_nan_is_no_observation(server):
    server.says(b'{"mean": NaN, "all": [1, NaN]}')
    assert http_json("departures", server.url, select="mean")(JFK, DATE) is None
    assert http_json("departures", server.url, select="all")(JFK, DATE) == [1, None]


@pytest.mark.parametrize(
    ("select", "text"),
    [
        ("data.0.maen", "data.0 has no 'maen'. Did you mean 'mean'? It has: flights, mean."),
        ("daten", "the answer has no 'daten'. Did you mean 'data'? It has: data, none."),
        ("data.3", "data is a list of 1, without a number 3."),
        ("data.first", "data is a list, and 'first' is not a number."),
        ("data.0.mean.value", "data.0.mean is 12.5, which has no 'value'."),
        ("none.value", "none is null, which has no 'value'."),
    ],
)
def test_a_path_that_the_answer_does_not_have(server, select, text):
    server.says({"data": [{"mean": 12.5, "flights": 3}], "none": None})
    made = http_json("departures", server.url, select=select)
    assert error(made) == f"http_json 'departures': select {select!r}: {text}"


def test_no_content_and_the_statuses_named_as_missing_are_no_observation(server):
    made = http_json("departures", server.url, missing=(404, 410))
    for status in (204, 404, 410):
        server.says(status)
        assert made(JFK, DATE) is None
    server.says(404)
    assert "HTTP 404 Not Found" in error(http_json("departures", server.url, missing=()))


def test_a_packed_answer_is_unpacked(server):
    server.says(gzip.compress(b'{"mean": 3}'), Content_Encoding="gzip")
    assert http_json("departures", server.url, select="mean")(JFK, DATE) == 3


def test_a_scope_asks_once_and_may_answer_for_its_entities(server):
    server.says({"JFK-LAX": 1, "JFK-BOS": 2})
    made = http_json(
        "departures", server.url + "/{partition}/{entity}", per="wave", batch=True, select=lambda a: a
    )
    assert (made.per, made.batch, made.concurrency) == ("wave", True, 1)
    assert made(Entity("@all", {}, "all"), DATE) == {"JFK-LAX": 1, "JFK-BOS": 2}
    assert server.requests[0][0] == "/all/%40all"


# When it is asked again


def test_after_429_and_5xx_it_is_asked_again(server):
    server.says(503, 429, 500, {"mean": 3})
    assert http_json("departures", server.url, select="mean")(JFK, DATE) == 3
    assert len(server.requests) == 4


def test_after_a_broken_connection_it_is_asked_again(server):
    # The first client to come is cut off, as by a balancer whose backend restarts.
    with socket.create_server(("127.0.0.1", 0)) as gate:
        port = gate.getsockname()[1]

        def cut_then_answer():
            gate.accept()[0].close()
            with gate.accept()[0] as peer:
                peer.recv(65536)
                peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\n7")

        thread = threading.Thread(target=cut_then_answer)
        thread.start()
        assert http_json("departures", f"http://127.0.0.1:{port}")(JFK, DATE) == 7
        thread.join(10)


def test_other_statuses_are_final(server):
    server.says(401)
    text = error(http_json("departures", server.url + "/v1"))
    assert text == f"http_json 'departures': GET {server.url}/v1: HTTP 401 Unauthorized (out of order)"
    assert len(server.requests) == 1


def test_when_it_stays_bad_the_text_says_how_often_it_was_tried(server):
    server.says(503)
    text = error(http_json("departures", server.url + "/v1", retries=2))
    assert text == (
        f"http_json 'departures': GET {server.url}/v1: HTTP 503 Service Unavailable (out of order), tried 3 times"
    )


def test_a_source_that_was_down_is_asked_once_only_until_it_is_up_again(server):
    server.says(503)
    made = http_json("departures", server.url, retries=3)
    for _ in range(5):
        assert "HTTP 503" in error(made)
    assert len(server.requests) == 4 + 1 + 1 + 1 + 1
    server.says(1)
    assert made(JFK, DATE) == 1
    server.says(503, 2)
    assert made(JFK, DATE) == 2


def test_retry_after_is_waited_for(server):
    server.says(429, 1, Retry_After="1")
    began = time.monotonic()
    assert http_json("departures", server.url)(JFK, DATE) is not None
    assert 1.0 <= time.monotonic() - began < 10.0


def test_retry_after_holds_for_all_entities_together(server):
    server.says(503, 1, Retry_After="1")
    made = http_json("departures", server.url + "/{entity}", concurrency=4)
    began = time.monotonic()
    wave = run_wave(Flow("f", [made]), [f"e{i}" for i in range(40)], DATE)
    assert wave.errors() == {}
    assert time.monotonic() - began < 10.0
    assert len(server.requests) <= 40 + 4


def test_a_longer_retry_after_than_there_is_patience_fails_at_once_for_all(server):
    server.says(429, Retry_After="3600")
    made = http_json("departures", server.url, patience="5s")
    began = time.monotonic()
    assert error(made) == (
        f"http_json 'departures': GET {server.url}: HTTP 429 Too Many Requests (out of order), tried 1 time; it asks "
        "to wait 3600 s (patience: 5 s an entity)"
    )
    assert error(made).startswith(
        f"http_json 'departures': GET {server.url}: the source asks for no requests for another 3"
    )
    assert time.monotonic() - began < 10
    assert len(server.requests) == 1


def test_patience_is_a_tenth_of_the_time_limit(server):
    server.says(429, Retry_After="3600")
    assert "(patience: 12 s an entity)" in error(http_json("departures", server.url, time_limit="2m"))


def test_waits_double_and_vary():
    waits = [[backoff(tries) for _ in range(50)] for tries in (1, 2, 3, 20)]
    longest = [http_client.FIRST_WAIT * factor for factor in (1, 2, 4)] + [http_client.LONGEST_WAIT]
    for some, most in zip(waits, longest, strict=True):
        assert most / 2 <= min(some) < max(some) <= most


def test_a_date_to_wait_for_goes_by_the_clock_of_who_names_it():
    names = {"date": "Sun, 06 Nov 1994 08:49:07 GMT", "retry-after": "Sun, 06 Nov 1994 08:49:37 GMT"}
    assert retry_after(names["retry-after"], sent_at(httpx.Response(503, headers=names))) == 30
    told = sent_at(httpx.Response(503, headers={"date": "soon"}))
    assert abs((told - datetime.now(UTC)).total_seconds()) < 60


def test_retry_after_is_read_as_seconds_or_as_a_date():
    now = datetime(2013, 6, 25, 13, 0, 0, tzinfo=UTC)
    assert retry_after("7", now) == 7.0
    assert retry_after(format_datetime(now + timedelta(seconds=90), usegmt=True), now) == 90.0
    assert retry_after(format_datetime(now - timedelta(seconds=90), usegmt=True), now) == 0.0
    assert retry_after("soon", now) is None
    assert retry_after(None, now) is None


def test_a_silent_server(server):
    server.pause = 1.0
    made = http_json("departures", server.url, request_timeout="100ms", retries=1)
    assert error(made) == (
        f"http_json 'departures': GET {server.url}: no answer within 0.1 s (ReadTimeout), tried 2 times"
    )


def test_an_answer_that_drips_ends_with_the_patience():
    with socket.create_server(("127.0.0.1", 0)) as gate:
        port = gate.getsockname()[1]
        over = threading.Event()

        def drip():
            peer, _ = gate.accept()
            with peer:
                peer.recv(65536)
                peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
                while not over.wait(0.02):
                    try:
                        peer.sendall(b" ")
                    except OSError:
                        return

        thread = threading.Thread(target=drip)
        thread.start()
        began = time.monotonic()
        text = error(http_json("departures", f"http://127.0.0.1:{port}", patience="300ms"))
        over.set()
        thread.join(10)
    assert time.monotonic() - began < 10
    assert text.endswith("the answer did not end within 0.3 s, tried 1 time")


def test_nobody_listens():
    with socket.create_server(("127.0.0.1", 0)) as gate:
        port = gate.getsockname()[1]
    text = error(http_json("departures", f"http://127.0.0.1:{port}/v1", retries=1))
    assert text.startswith(f"http_json 'departures': GET http://127.0.0.1:{port}/v1: ConnectError: ")
    assert text.endswith("Connection refused, tried 2 times")


def test_a_large_answer(server, monkeypatch):
    monkeypatch.setattr(http_client, "MAX_BYTES", 2**20)
    server.says(b"1" * (2**20 + 1))
    assert error(http_json("departures", server.url)) == (
        f"http_json 'departures': GET {server.url}: the answer is larger than 1 MB. Ask for less."
    )


def test_an_answer_that_is_no_json(server):
    made = http_json("departures", server.url)
    server.says(b"<html>Please log in</html>")
    assert (
        error(made)
        == "http_json 'departures': the answer is not JSON, but begins with '<html>Please log in</html>'."
    )
    server.says(b"")
    assert error(made) == "http_json 'departures': the answer is not JSON, but begins with 'nothing'."


def test_an_answer_that_moved(server):
    server.answers = [(301, {"Location": "https://user:pw@new.example.com/v2?key=abcdefgh"}, b"")]
    assert error(http_json("departures", server.url)) == (
        f"http_json 'departures': GET {server.url}: HTTP 301: it moved to https://new.example.com/v2. "
        "Put that into the url."
    )


# Secrets


def test_no_secret_gets_into_a_message(server):
    secrets = ["s3cr3t-token", "query-secret", "param-secret", "url-password"]

    def echo(status: int) -> None:
        server.answers = [(status, {}, " and ".join(["bad:", *secrets]).encode())]

    made = http_json(
        "departures",
        server.url.replace("//", "//user:url-password@") + "/v1?key=query-secret",
        params={"token": "param-secret", "route": "{entity}"},
        headers={"Authorization": "Bearer s3cr3t-token"},
        retries=0,
    )
    for status in (400, 503):
        echo(status)
        text = error(made)
        assert f"GET {server.url}/v1: HTTP {status}" in text
        assert text.count("***") == 4
        assert not [secret for secret in secrets if secret in text]


def test_parameters_from_a_function_are_taken_for_secrets(server):
    server.answers = [(400, {}, b"bad key function-secret")]
    made = http_json("departures", server.url, params=lambda entity, date: {"key": "function-secret"})
    assert error(made).endswith("HTTP 400 Bad Request (bad key ***)")


def test_a_header_that_cannot_be_sent_is_not_shown(server):
    made = http_json("departures", server.url, headers={"Authorization": "Bearer s3cr3t-token\nx"})
    text = error(made)
    assert "s3cr3t" not in text
    assert text.startswith(f"http_json 'departures': GET {server.url}: cannot be asked: Illegal header value")


def test_a_password_that_breaks_the_address_is_not_shown():
    assert error(http_json("departures", "http://user:pa/ss@example.com/")) == (
        "http_json 'departures': the url cannot be read: Invalid port."
    )


def test_requests_are_not_logged_with_their_query(server):
    code = (
        "import logging, sys; logging.basicConfig(level=logging.INFO); from tasks.sources.http import http_json;"
        f"http_json('x', '{server.url}?key=query-secret')('a', __import__('datetime').datetime(2013, 1, 1))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "query-secret" not in ran.stderr


# The declaration


def test_it_is_a_collection_task_with_the_options_of_a_task():
    made = http_json(
        "departures", "https://example.com", time_limit="5m", ttl="60d", queue="slow", rate="50/s"
    )
    assert (made.name, made.queue, made.concurrency, made.inputs) == ("departures", "slow", 8, ())
    assert (made.time_limit, made.ttl, made.rate) == (300.0, 60 * 86400.0, 50.0)
    assert http_json("departures", "https://example.com", concurrency=2).concurrency == 2


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (
            {"url": "https://e.com/{entity"},
            "the url 'https://e.com/{entity' cannot be read: expected '}' before end of string. Write {entity}, and {{ "
            "for a brace.",
        ),
        (
            {"url": "https://e.com/{date.year}"},
            "the url 'https://e.com/{date.year}' has the field {date.year}, which is not a name. Write it like "
            "{entity}.",
        ),
        ({"url": "example.com/v1"}, "'example.com/v1' is not an address. Begin it with https:// or http://."),
        (
            {"params": "a=b"},
            "params='a=b' is not a mapping of texts and numbers. Write {'route': '{entity}'}.",
        ),
        (
            {"params": {"a": [1]}},
            "params={'a': [1]} is not a mapping of texts and numbers. Write {'route': '{entity}'}.",
        ),
        (
            {"select": "data..x"},
            "select='data..x' is not a path. Write it like 'data.0.value', or give a function.",
        ),
        ({"retries": -1}, "retries=-1 is not a number of tries. Use 0 or more."),
        ({"missing": 404}, "missing=404 is not a list of HTTP statuses. Write missing=(404,), or ()."),
        (
            {"patience": "long"},
            "patience 'long' is not a length of time. Write it like '90s', '5m', '2h' or '28d'.",
        ),
    ],
)
def test_a_wrong_declaration_is_refused(options, text):
    assert refused("departures", **{"url": "https://e.com", **options}) == f"http_json 'departures': {text}"


def test_options_of_other_tasks_are_refused():
    assert refused("x", "https://e.com", timeout="5s") == (
        "http_json 'x' takes no timeout: say request_timeout, how long it may be silent."
    )
    assert (
        refused("x", "https://e.com", window={})
        == "http_json 'x' takes no window: a collection task reads no pipes."
    )
    assert refused("x", "https://e.com", batch=True) == (
        "http_json 'x' asks for one entity at a time, so batch=True wants per='partition' or per='wave'."
    )


def test_a_field_that_the_entity_has_not():
    assert error(http_json("departures", "https://e.com/{orign}")) == (
        "http_json 'departures': the url names {orign}, but 'JFK-LAX' has no such feature. Did you mean 'origin'? "
        "It has: airline, origin."
    )


def test_a_field_that_cannot_be_written():
    assert error(http_json("departures", "https://e.com/{origin:%Y}")) == (
        "http_json 'departures': the url cannot write origin 'JFK' as {origin:%Y}: Invalid format specifier '%Y' for "
        "object of type 'str'."
    )


def test_without_httpx_the_import_says_which_extra_brings_it():
    code = "import sys; sys.modules['httpx'] = None; from tasks import http_json"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ran.stderr.splitlines()[-1] == (
        "pipeline.errors.MissingExtra: tasks.http_json needs httpx. Install it: pip install 'celery-waves[tasks]'."
    )
