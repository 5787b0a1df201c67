"""Models served by way of a Redis with TLS, and of one whose primary dies under Sentinels."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from pipeline.connections import async_clients, sync_clients
from pipeline.errors import ProcessError, UnreachableError
from pipeline.local.supervise import Processes
from pipeline.serving.catalogue import Catalogue
from tests.integration.serving_stack import Stack, predict
from tests.support.servers import over_tls, until, watched

PASSWORD = "p@ss/w:rd-4711"  # with all that a URL must escape


@contextmanager
def on(url: str) -> Iterator[Stack]:
    with Processes(patience=0) as processes:
        client = sync_clients.connect(url, 2.0, 5.0)
        yield Stack(url, processes, Catalogue(client, "main"), client)
        client.connection_pool.disconnect()
        manager = getattr(client.connection_pool, "sentinel_manager", None)
        for sentinel in manager.sentinels if manager else ():
            sentinel.connection_pool.disconnect()


@contextmanager
def echo(stack: Stack) -> Iterator[httpx.Client]:
    """Serve a model that gives back what it gets."""
    stack.serve("echo", deadline=5.0)
    stack.worker("echo")
    with stack.api() as api:
        stack.ready(api, "echo")
        yield api


def test_models_are_served_over_tls_with_an_authority_of_ones_own(tmp_path: Path):
    with over_tls(tmp_path, PASSWORD) as url, on(f"{url}?ssl_ca_certs={tmp_path}/ca.pem") as stack:
        with echo(stack) as api:
            assert predict(api, 1, 2).json() == {"predictions": [1, 2]}
        with pytest.raises(ProcessError, match="CERTIFICATE_VERIFY_FAILED") as raised:
            Stack(url, stack.processes, stack.catalogue, stack.client).api("untrusting")
        assert "p@ss" not in str(raised.value)


def test_models_are_served_again_within_seconds_of_a_failover():
    with watched() as group, on(group.url) as stack, echo(stack) as api:
        assert predict(api, 1).json() == {"predictions": [1]}
        first = group.primary()
        first.child.send(signal.SIGKILL)
        until(lambda: group.primary() is not first)
        statuses = []

        def answered() -> bool:
            statuses.append(predict(api, 2).status_code)
            return statuses[-1] == 200

        until(answered)
        assert set(statuses) <= {200, 503, 504}  # told to try again, or its message went with the primary
        assert all(predict(api, i).json() == {"predictions": [i]} for i in range(20))
        assert all(child.code is None for child in stack.processes.children)


def test_a_client_for_asyncio_knows_what_the_others_know():
    async def ping(url: str) -> None:
        client = async_clients.connect(url, 1.0)
        try:
            await client.ping()
        finally:
            await client.aclose(close_connection_pool=True)

    began = time.monotonic()
    with pytest.raises(RedisConnectionError):
        asyncio.run(ping("sentinel://127.0.0.1:1;127.0.0.1:2/0?master=nobody"))
    assert time.monotonic() - began < 3  # each Sentinel is asked once, without pauses
    refused = {
        "redis+cluster://127.0.0.1:1": r"names no single Redis, which serving needs\. Set REDIS_URL",
        "http://127.0.0.1:1": r"is not a Redis URL\. It begins with one of redis://",
    }
    for url, why in refused.items():
        with pytest.raises(UnreachableError, match=why):
            async_clients.connect(url, 1.0)
