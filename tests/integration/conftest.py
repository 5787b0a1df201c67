"""Fixtures for tests on real Redis: the `wave` command, called in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from redis import Redis

from pipeline.cli import main

ROUTES = str(Path(__file__).parent / "flows" / "routes.py")

Command = Callable[..., Result]


def command(url: str) -> Command:
    """Make what calls the command on a Redis; the exit code is 0 unless `code` says another."""

    def call(*words: str, code: int = 0) -> Result:
        result = CliRunner().invoke(main, ["--redis", url, *words], prog_name="wave")
        assert result.exit_code == code, result.output
        return result

    return call


@pytest.fixture(scope="session")
def command_on() -> Callable[[str], Command]:
    """What makes a `wave` of a Redis' address."""
    return command


@pytest.fixture(scope="module")
def url(_session_redis: str) -> str:
    """The address of a Redis that is empty when a module's tests begin."""
    with Redis.from_url(_session_redis) as client:
        client.flushdb()
    return _session_redis


@pytest.fixture(scope="module")
def as_main() -> Iterator[None]:
    """Runs commands as version main, with the flows of `flows/routes.py`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PIPELINE_VERSION", "main")
        patch.setenv("PIPELINE_FLOWS", ROUTES)
        patch.delenv("PIPELINE_STORE_URL", raising=False)
        yield


@pytest.fixture
def wave(redis_url: str, as_main: None) -> Command:
    """The command on an empty Redis, without workers."""
    return command(redis_url)
