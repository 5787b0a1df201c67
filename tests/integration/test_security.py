"""JSON only, TLS that is checked, users with few rights, and no secret anywhere."""

from __future__ import annotations

import os
import pickle
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis.exceptions import NoPermissionError

from pipeline import Wave, submit_wave
from pipeline.app import make_app
from pipeline.connections.sync_clients import CONTROL_RIGHTS, PIPE_RIGHTS
from pipeline.errors import UnreachableError
from pipeline.flows.discover import load_flows
from pipeline.local.processes import Workers, celery_command, worker_env
from pipeline.monitoring.doctor import examine
from pipeline.monitoring.findings import WARN
from pipeline.settings import Settings
from pipeline.waves.presence import REFUSED
from pipeline.waves.runtime import Runtime
from tests.support.breakable_redis import BreakableRedis
from tests.support.servers import over_tls, until

OUTAGES = str(Path(__file__).parent / "flows" / "outages.py")
PASSWORD = "p@ss/w:rd-4711"  # with all that a URL must escape
ESCAPED = "p%40ss%2Fw%3Ard-4711"
ENTITIES = {f"place{n}": {"country": f"c{n % 2}"} for n in range(20)}


@pytest.fixture(scope="module")
def flows():
    return load_flows([OUTAGES])


def at(url: str, store: str = "") -> Runtime:
    return Runtime(Settings(redis_url=url, store_url=store, version="main", shard_size=5, socket_timeout=5))


def run_wave(runtime: Runtime, flows, hour: int = 7) -> Wave:
    wave = submit_wave(flows["steps"], date=f"2026-07-01T{hour:02}", entities=ENTITIES, runtime=runtime)
    wave.wait(40)
    assert wave.progress().count("finished") == wave.progress().total, wave.errors()
    return wave


def working(url: str, tmp_path: Path, store: str = "", level: str = "INFO") -> Workers:
    (tmp_path / "witness").touch()
    env = {"WITNESS": str(tmp_path / "witness"), "PIPELINE_STORE_URL": store, "PIPELINE_SOCKET_TIMEOUT": "2s"}
    options = ["-l", level]
    return Workers(
        url, flows=[OUTAGES], count=1, env=env, patience=5, options=options, logs=tmp_path / "logs"
    )


class Bomb:
    """Makes a folder when it is unpickled."""

    def __init__(self, path: str) -> None:
        self._path = path

    def __reduce__(self):
        return os.mkdir, (self._path,)


def test_a_pickled_message_is_refused_and_counted_and_not_run(redis_url, tmp_path, flows):
    runtime = at(redis_url)
    sender = make_app(runtime.settings)
    with working(redis_url, tmp_path) as workers:
        workers.wait_ready()
        with sender.connection_for_write() as connection:
            body = pickle.dumps(((Bomb(str(tmp_path / "bang")),), {}, {}))
            headers = {"id": "1", "task": "pipeline.run", "lang": "py"}
            properties = {"content_type": "application/x-python-serialize", "content_encoding": "binary"}
            connection.Producer().publish(body, routing_key="main.collect", headers=headers, **properties)
        until(lambda: runtime.client.hgetall(REFUSED), 10)
        assert runtime.client.hgetall(REFUSED) == {b"application/x-python-serialize": b"1"}
        assert not (tmp_path / "bang").exists()
        run_wave(runtime, flows)
        assert workers.children[0].code is None
        until(lambda: not runtime.client.exists("unacked"), 10)
    found = {finding.check: finding for finding in examine(runtime)}
    assert found["messages"].level == WARN
    assert "application/x-python-serialize" in found["messages"].text


# -- TLS


@pytest.fixture
def tls(tmp_path: Path) -> Iterator[str]:
    """The address of a server that speaks TLS alone, without the authority that proves it."""
    with over_tls(tmp_path, PASSWORD) as url:
        yield url


def test_a_wave_runs_over_tls_with_an_authority_of_ones_own(tls, tmp_path, flows):
    url = f"{tls}?ssl_ca_certs={tmp_path}/ca.pem"
    runtime = at(url)
    runtime.check()
    with working(url, tmp_path) as workers:
        workers.wait_ready()
        run_wave(runtime, flows)
    assert PASSWORD not in logs(tmp_path)
    assert ESCAPED not in logs(tmp_path)


def test_a_server_whose_certificate_nobody_vouches_for_is_refused_by_clients_and_by_the_broker(tls):
    with pytest.raises(UnreachableError, match="CERTIFICATE_VERIFY_FAILED"):
        at(tls).check()
    made = make_app(Settings(redis_url=tls, version="main", socket_timeout=2))
    with (
        made.connection_for_write() as connection,
        pytest.raises(Exception, match="CERTIFICATE_VERIFY_FAILED"),
    ):
        connection.ensure_connection(max_retries=1, interval_start=0)


# -- users with few rights


def user_of(server: BreakableRedis, name: str, rights: str) -> str:
    with server.client() as client:
        client.execute_command("ACL", "SETUSER", name, "on", f">{PASSWORD}", *rights.split())
    return f"redis://{name}:{ESCAPED}@127.0.0.1:{server.url.rpartition(':')[2]}"


def denied(server: BreakableRedis) -> set[str]:
    """What users were refused, apart from what is asked for by the way and not needed."""
    with server.client() as client:
        entries = [dict(entry) for entry in client.acl_log()]
    found = {
        str(entry["object"].decode() if isinstance(entry["object"], bytes) else entry["object"])
        for entry in entries
    }
    return {name.partition("|")[0] for name in found} - {"client", "config"}


def test_a_wave_beat_and_the_doctor_need_the_documented_rights_alone(tmp_path, flows):
    with BreakableRedis({"appendonly": "yes"}) as server, BreakableRedis() as apart:
        url, store = user_of(server, "waves", CONTROL_RIGHTS), user_of(apart, "pipes", PIPE_RIGHTS)
        runtime = at(url, store)
        with working(url, tmp_path, store) as workers:
            env = worker_env(url, [OUTAGES], "main") | {"PIPELINE_STORE_URL": store}
            workers.start("beat", celery_command("beat", "-l", "INFO"), env)
            workers.wait_ready(names=["worker1"])
            runtime.states.bind(flows["steps"].state).update(ENTITIES)
            for hour in (7, 8):
                run_wave(runtime, flows, hour)
            until(lambda: runtime.records.ids("main", "forgotten"), 20)
            assert {f.level for f in examine(runtime, flows.values())} <= {"OK", "WARN"}
        assert denied(server) == set()
        assert denied(apart) == set()
        for command in ("FLUSHALL", "KEYS *", "CONFIG SET dir /", "ACL LIST", "SHUTDOWN"):
            for client in (runtime.client, runtime.store.client):
                with pytest.raises(NoPermissionError):
                    client.execute_command(*command.split())
        with pytest.raises(NoPermissionError):
            runtime.store.client.delete("x")
        assert PASSWORD not in logs(tmp_path)


def test_a_wrong_password_is_said_at_once_and_not_repeated():
    with BreakableRedis() as server:
        settings = Settings(redis_url=server.url.replace("redis://:", "redis://:wrong"), version="main")
        started = time.monotonic()
        with pytest.raises(UnreachableError) as raised:
            Runtime(settings, patience=60).check()
        assert time.monotonic() - started < 30
        assert "AuthenticationError" in str(raised.value)
        assert "wrong" not in str(raised.value)


# -- secrets


def logs(tmp_path: Path) -> str:
    return "".join(path.read_text() for path in (tmp_path / "logs").iterdir())


def test_no_secret_is_in_logs_errors_or_representations(tmp_path, flows):
    with BreakableRedis({"appendonly": "yes"}) as server, BreakableRedis({"appendonly": "yes"}) as apart:
        url, store = user_of(server, "waves", CONTROL_RIGHTS), user_of(apart, "pipes", PIPE_RIGHTS)
        runtime = at(url, store)
        with working(url, tmp_path, store, level="DEBUG") as workers:
            env = worker_env(url, [OUTAGES], "main") | {"PIPELINE_STORE_URL": store}
            workers.start("beat", celery_command("beat", "-l", "DEBUG"), env)
            workers.wait_ready(names=["worker1"])
            run_wave(runtime, flows)
            server.kill()
            apart.kill()
            texts = [repr(runtime), str(_raised(runtime.check))]
            texts.append(str(_raised(lambda: submit_wave(flows["steps"], runtime=runtime))))
            until(lambda: "Cannot connect to redis" in logs(tmp_path))
            server.start()
            apart.start()
        texts += [repr(part) for part in (runtime.client, runtime.store, runtime.gate, runtime.settings)]
        texts += [
            logs(tmp_path),
            make_app(runtime.settings).connection().as_uri(),
            repr(make_app(runtime.settings)),
        ]
        for secret in (PASSWORD, ESCAPED):
            assert not [text for text in texts if secret in text]
        assert "redis://waves:***@127.0.0.1" in texts[1]


def _raised(call) -> BaseException:
    with pytest.raises(UnreachableError) as found:
        call()
    return found.value
