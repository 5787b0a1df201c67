"""A wave runs whatever form the URL of its Redis has; a wrong one is refused before anything is written."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from pipeline import submit_wave
from pipeline.connections import async_clients
from pipeline.errors import UnreachableError
from pipeline.flows.discover import load_flows
from pipeline.local.processes import Workers, celery_command, worker_env
from pipeline.local.supervise import Processes
from pipeline.settings import Settings
from pipeline.waves.runtime import Runtime
from tests.support.servers import PASSWORD, free_port, make_certificates, until, with_tls

OUTAGES = str(Path(__file__).parent / "flows" / "outages.py")
ENTITIES = {f"place{n}": {"country": f"c{n % 2}"} for n in range(10)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of a server that listens on a port, a port with TLS that wants certificates, and a socket."""
    found = tmp_path_factory.mktemp("redis")
    binary = with_tls()
    if binary is None:
        pytest.skip("no redis-server with TLS here: apt-get install redis-server")
    make_certificates(found)
    (found / "port").write_text(str(free_port()))
    tls_port = free_port()
    while str(tls_port) == (found / "port").read_text():
        tls_port += 1
    (found / "tls").write_text(str(tls_port))
    lines = {
        "port": (found / "port").read_text(), "tls-port": str(tls_port), "unixsocket": f"{found}/sock", "save": '""',
        "requirepass": PASSWORD, "databases": "64", "tls-cert-file": f"{found}/redis.pem", "dir": str(found),
        "tls-key-file": f"{found}/redis.key", "tls-ca-cert-file": f"{found}/ca.pem", "tls-auth-clients": "yes",
    }  # fmt: skip
    (found / "redis.conf").write_text("".join(f"{name} {value}\n" for name, value in lines.items()))
    with Processes(patience=0) as processes:
        processes.start("redis", [binary, found / "redis.conf"], {})
        until((found / "sock").exists)
        yield found


def fill(url: str, folder: Path) -> str:
    certificates = (
        f"ssl_ca_certs={folder}/ca.pem&ssl_certfile={folder}/redis.pem&ssl_keyfile={folder}/redis.key"
    )
    port, tls = ((folder / name).read_text() for name in ("port", "tls"))
    return url.format(port=port, tls=tls, pw=PASSWORD, folder=folder, certificates=certificates)


@pytest.mark.parametrize(
    "url",
    [
        "redis://:{pw}@127.0.0.1:{port}/0?db=20&socket_timeout=7&client_name=mine&protocol=2",
        "redis://127.0.0.1:{port}?password={pw}&username=default&max_connections=3&timeout=9&retry_on_timeout=yes"
        "&socket_keepalive=no&health_check_interval=0&client_name=mine&lib_name=ours&lib_version=1",
        "rediss://:{pw}@127.0.0.1:{tls}/21?{certificates}&ssl_cert_reqs=CERT_REQUIRED&ssl_check_hostname=True"
        "&ssl_min_version=TLSv1_2&client_name=mine",
        "unix://:{pw}@{folder}/sock?db=22&client_name=mine&health_check_interval=5",
        "redis+socket://:{pw}@{folder}/sock?virtual_host=23&client_name=mine",
    ],
)  # fmt: skip
def test_a_wave_runs_with_every_option_and_every_connection_has_them(url: str, folder: Path, tmp_path: Path):
    url = fill(url, folder)
    (tmp_path / "witness").touch()
    runtime = Runtime(Settings(redis_url=url, version="main", shard_size=5))
    env = {"WITNESS": str(tmp_path / "witness")}
    with Workers(url, flows=[OUTAGES], env=env, options=["-l", "INFO"], logs=tmp_path / "logs") as workers:
        workers.start("beat", celery_command("beat", "-l", "INFO"), worker_env(url, [OUTAGES], "main") | env)
        workers.wait_ready(names=["worker1"])
        flow = load_flows([OUTAGES])["steps"]
        wave = submit_wave(flow, date="2026-05-03T07", entities=ENTITIES, runtime=runtime).wait(40)
        assert wave.progress().count("finished") == wave.progress().total, wave.errors()
        with Redis(unix_socket_path=f"{folder}/sock", password=PASSWORD) as client:
            names = {one["name"] for one in client.client_list()}
        assert names == {"mine", ""}  # the last one is of this look
        assert asyncio.run(ping(url))
        assert all(child.code is None for child in workers.children)
    logs = "".join(path.read_text() for path in (tmp_path / "logs").iterdir())
    assert PASSWORD not in logs
    assert "Traceback" not in logs


async def ping(url: str) -> bool:
    async with async_clients.connect(url, 5) as client:
        answered = await client.ping()
        await client.connection_pool.disconnect()
        return bool(answered)


@pytest.mark.parametrize("program", [["worker", "-c", "1"], ["beat"], ["flower", "--port=0"]])
@pytest.mark.parametrize("name", ["REDIS_URL", "PIPELINE_STORE_URL"])
def test_a_process_of_celerys_refuses_a_wrong_url_in_a_line(program: list[str], name: str, redis_url: str):
    env = os.environ | worker_env(redis_url, [OUTAGES], "main")
    env[name] = "redis://:S3CRET@127.0.0.1/0?socket_timeot=7"
    done = subprocess.run(celery_command(*program), env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "Did you mean 'socket_timeout'" in done.stderr
    assert "Traceback" not in done.stderr
    assert "S3CRET" not in done.stderr + done.stdout


def test_a_wrong_url_of_the_pipe_store_is_refused_before_a_wave_is_written(
    redis_url: str, redis_client: Redis
):
    settings = Settings(redis_url=redis_url, store_url="redis://host?db=first", version="main")
    with pytest.raises(UnreachableError, match="db='first' cannot be read"):
        submit_wave(load_flows([OUTAGES])["steps"], entities=ENTITIES, runtime=Runtime(settings))
    assert redis_client.dbsize() == 0


def test_the_command_refuses_a_wrong_url(redis_url: str):
    env = os.environ | worker_env(redis_url, [OUTAGES], "main")
    command = [sys.executable, "-m", "pipeline.cli", "--redis", "redis://:S3CRET@127.0.0.1/0?pasword=x", "ls"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "has an option 'pasword', which redis:// does not have. Did you mean 'password'" in done.stderr
    assert "S3CRET" not in done.stderr
    assert "Traceback" not in done.stderr
