"""The embedded Redis is private, survives restarts and leaves nothing behind, however its owner ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from redis import Redis
from redis.exceptions import AuthenticationError, ConnectionError

from pipeline.errors import UnreachableError
from pipeline.local import embedded
from pipeline.local.embedded import serving
from tests.support.breakable_redis import BreakableRedis
from tests.support.servers import until

OWNER = """
import sys, time
from pipeline.local.embedded import EmbeddedRedis
with EmbeddedRedis() as redis:
    print(redis._server.pid, redis.url, flush=True)
    time.sleep(60)
"""


@pytest.fixture(autouse=True)
def temporary(tmp_path, monkeypatch):
    """The folder in which servers make theirs."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    return tmp_path


def gone(pid: int, folder: Path) -> bool:
    """Say whether the server has ended (its entry may still wait for init) and its folder is removed."""
    ended = not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    return ended and not list(folder.iterdir())


def test_it_serves_and_is_gone_after_the_block(temporary):
    with BreakableRedis() as redis, redis.client() as client:
        assert client.ping()
        pid = redis.pid
    assert gone(pid, temporary)


def test_it_is_gone_after_an_exception(temporary):
    pids = []

    def fail_inside() -> None:
        with BreakableRedis() as redis:
            pids.append(redis.pid)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_inside()
    assert gone(pids[0], temporary)


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_it_is_gone_after_its_owner_was_ended_by(sent, temporary):
    command = [sys.executable, "-c", OWNER]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as owner:
        pid = int(owner.stdout.readline().split()[0])
        owner.send_signal(sent)
    until(lambda: gone(pid, temporary))


def test_ctrl_c_in_the_terminal_does_not_reach_it():
    with BreakableRedis() as redis:
        assert os.getsid(redis.pid) != os.getsid(0)


def test_it_refuses_who_does_not_know_its_address():
    with BreakableRedis() as redis:
        stranger = Redis.from_url("redis://" + redis.url.partition("@")[2])
        with stranger, pytest.raises(AuthenticationError):
            stranger.ping()


def test_two_at_once_do_not_meet():
    with BreakableRedis() as one, BreakableRedis() as two, one.client() as a, two.client() as b:
        a.set("key", "value")
        assert b.get("key") is None


def test_a_restart_keeps_the_address_and_with_appendonly_the_data():
    with BreakableRedis({"appendonly": "yes"}) as redis, redis.client() as client:
        client.set("key", "value")
        url, pid = redis.url, redis.pid
        redis.restart()
        assert (redis.url, client.get("key")) == (url, b"value")
        assert redis.pid != pid


def test_a_server_that_was_killed_comes_back_at_start():
    with BreakableRedis() as redis:
        redis.kill()
        with redis.client() as client, pytest.raises(ConnectionError):
            client.ping()
        redis.start()
        os.kill(redis.pid, signal.SIGKILL)
        os.waitid(os.P_PID, redis.pid, os.WEXITED | os.WNOWAIT)
        redis.start()
        with redis.client() as client:
            assert client.ping()


def test_a_port_that_somebody_took_is_passed_over(monkeypatch):
    free_port = embedded._free_port
    with BreakableRedis() as first:
        ports = iter([int(first.url.split(":")[3].split("/")[0])])
        monkeypatch.setattr(embedded, "_free_port", lambda: next(ports, None) or free_port())
        with BreakableRedis() as second, second.client() as client:
            assert client.ping()
            assert second.url.partition("@")[2] != first.url.partition("@")[2]


def test_an_option_that_the_server_refuses_is_told(temporary):
    with (
        pytest.raises(UnreachableError, match=r"(?s)did not start.*appendonly"),
        BreakableRedis({"appendonly": "maybe"}),
    ):
        pass
    assert not list(temporary.iterdir())


def test_without_a_given_server_one_is_started():
    with serving(None) as url, Redis.from_url(url) as client:
        assert client.ping()


def test_a_test_finds_its_redis_empty(redis_client):
    assert redis_client.dbsize() == 0
    redis_client.set("key", "value")


def test_and_so_does_the_next(redis_client):
    assert redis_client.dbsize() == 0
