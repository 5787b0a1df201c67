"""The dashboard, the metrics and the API as one application, behind tokens, and the commands that start it."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from pipeline.local.embedded import EmbeddedRedis
from pipeline.local.processes import worker_env
from pipeline.local.supervise import Processes
from pipeline.web.tokens import line, new_token
from tests.support.servers import free_port, until

SHOP = str(Path(__file__).parents[1] / "browser" / "flows" / "shop.py")
TOKEN = new_token()
HTML = {"Accept": "text/html,application/xhtml+xml"}
FLOWER = "http://127.0.0.1:5556/flower"


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    port = free_port()
    tokens = {
        "PIPELINE_TOKENS": line("ann", TOKEN),
        "PIPELINE_WEB_PORT": str(port),
        "PIPELINE_FLOWER_URL": FLOWER,
    }
    with EmbeddedRedis() as redis, Processes(patience=10) as processes:
        command = [sys.executable, "-m", "pipeline.web"]
        processes.start("web", command, worker_env(redis.url, [SHOP], "main") | tokens)
        processes.wait_ready(40)
        with httpx.Client(base_url=f"http://127.0.0.1:{port}") as found:
            yield found


def test_a_browser_is_asked_for_a_token_and_a_program_for_the_header(client):
    asked = client.get("/", headers=HTML)
    assert asked.status_code == 401
    assert (
        asked.headers["www-authenticate"] == 'Basic realm="celery-waves: any name, and a token as password"'
    )
    assert client.get("/metrics").headers["www-authenticate"] == "Bearer"


def test_a_token_lets_in_as_password_or_as_bearer(client):
    assert "main/shop" in client.get("/", headers=HTML, auth=("anybody", TOKEN)).text
    assert client.get("/", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200
    for wrong in (("ann", "guess"), ("ann", "")):
        assert client.get("/", headers=HTML, auth=wrong).status_code == 401
    assert client.get("/", headers={"Authorization": "Basic ???"}).status_code == 401
    assert client.get("/", headers={"Authorization": f"Digest {TOKEN}"}).status_code == 401


def test_metrics_are_those_of_the_waves_and_those_of_the_api(client):
    text = client.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"}).text
    assert re.search(r"^waves_up 1\.0$", text, re.M)
    assert 'waves_late_seconds{flow="shop",version="main"}' in text
    assert "waves_http_request_seconds" in text


def test_the_page_of_workers_leads_to_flower_where_it_is_known(client):
    assert f'<a href="{FLOWER}">Flower</a>' in client.get("/workers", auth=("a", TOKEN)).text


def test_pages_may_load_nothing_from_elsewhere(client):
    found = client.get("/", auth=("a", TOKEN)).headers
    assert "default-src 'none'" in found["content-security-policy"]
    assert found["x-content-type-options"] == "nosniff"


def test_wave_web_starts_it(redis_url):
    port = free_port()
    command = [sys.executable, "-m", "pipeline.cli", "-F", SHOP, "web", "--port", str(port)]
    with Processes(patience=10) as processes:
        processes.start("web", command, worker_env(redis_url, [], "main"))
        processes.wait_ready(40)
        text = httpx.get(f"http://127.0.0.1:{port}/").text
        assert "main/shop" in text
        until(lambda: httpx.get(f"http://127.0.0.1:{port}/healthz").status_code == 200)


def test_a_port_that_is_taken_is_told_before_anything_starts(redis_url):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        command = [sys.executable, "-m", "pipeline.cli", "--redis", redis_url, "web", "--port", str(port)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert (done.returncode, done.stdout) == (2, "")
        said = f"wave: nothing can listen at port {port} of 127.0.0.1: Address already in use. Give another one: --port"
        assert done.stderr.startswith(said)
        env = worker_env(redis_url, [], "main") | {"PIPELINE_WEB_PORT": str(port)}
        done = subprocess.run(
            [sys.executable, "-m", "pipeline.web"],
            env=os.environ | env,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 2
        assert f"port {port} of 127.0.0.1" in done.stderr


def test_where_there_is_nothing_a_browser_gets_a_page_and_a_program_json(client):
    page = client.get("/waves", headers=HTML, auth=("a", TOKEN))
    assert (page.status_code, page.headers["content-type"]) == (404, "text/html; charset=utf-8")
    assert "<p>There is nothing at /waves.</p>" in page.text
    answer = client.get("/waves", auth=("a", TOKEN))
    assert answer.status_code == 404
    assert answer.json()["error"] == "there is nothing at /waves. /openapi.json lists what there is."
