"""Fixtures for every suite: a Redis that is empty at the start of each test."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from redis import Redis

from pipeline.local.embedded import serving


@pytest.fixture(scope="session")
def _session_redis() -> Iterator[str]:
    """The address of the session's server: REDIS_URL's, if its database is empty, else an embedded one."""
    with serving(os.environ.get("REDIS_URL")) as url, Redis.from_url(url) as client:
        if client.dbsize():
            pytest.exit(
                f"The tests empty their database, and {url} holds keys. Name an empty one, e.g. .../9.", 2
            )
        yield url
        client.flushdb()


@pytest.fixture(scope="session", autouse=True)
def _allowed() -> Iterator[None]:
    """Stored data may name the tests' own classes, here and in the processes that tests start."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PIPELINE_ALLOW", "tests")
        yield


@pytest.fixture
def redis_url(_session_redis: str) -> str:
    """The address of an empty Redis."""
    with Redis.from_url(_session_redis) as client:
        client.flushdb()
    return _session_redis


@pytest.fixture
def redis_client(redis_url: str) -> Iterator[Redis]:
    """A client of an empty Redis."""
    with Redis.from_url(redis_url) as client:
        yield client


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """In CI a test that is skipped is a failure: what is not run is not known to hold."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    skipped = reporter.stats.get("skipped", []) if reporter else []
    if os.environ.get("CI") and skipped and exitstatus == pytest.ExitCode.OK:
        reporter.write_line(f"{len(skipped)} skipped: a failure in CI", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
