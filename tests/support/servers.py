"""Redis in constellations: behind TLS, a primary with a replica and Sentinels, and a Cluster of three."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote

import pytest
from redis import Redis
from redis.exceptions import RedisError

from pipeline.local.embedded import redis_server_binary
from pipeline.local.supervise import Child, Processes
from tests.support.waiting import until

PASSWORD = "sesame-open-4711"
MASTER = "waves"
SLOTS = 16384


def with_tls() -> str | None:
    """Find a redis-server that was built with TLS."""
    for binary in ("redis-server", "/usr/bin/redis-server", "valkey-server"):
        try:
            said = subprocess.run(
                [binary, "--tls-port", "none"], capture_output=True, text=True, timeout=10, check=False
            )
        except OSError:
            continue
        if "Bad directive" not in said.stdout + said.stderr:
            return binary
    return None


def make_certificates(folder: Path) -> None:
    """Make an authority, and a certificate of it for 127.0.0.1."""
    (folder / "san").write_text("subjectAltName=IP:127.0.0.1\n")
    for command in (
        "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=authority -keyout ca.key -out ca.pem "
        "-addext keyUsage=critical,keyCertSign",
        "req -newkey rsa:2048 -nodes -subj /CN=redis -keyout redis.key -out redis.csr",
        "x509 -req -in redis.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile san -out redis.pem",
    ):
        subprocess.run(["openssl", *command.split()], cwd=folder, check=True, capture_output=True)


@contextmanager
def over_tls(folder: Path, password: str) -> Iterator[str]:
    """A server that speaks TLS alone: its address, without `folder`/ca.pem, the authority that proves it."""
    binary = with_tls()
    if binary is None:
        pytest.skip("no redis-server with TLS here: apt-get install redis-server")
    make_certificates(folder)
    tls = {"tls-cert-file": f"{folder}/redis.pem", "tls-key-file": f"{folder}/redis.key"}
    tls |= {"tls-ca-cert-file": f"{folder}/ca.pem", "tls-auth-clients": "no"}
    tls_port = free_port()
    with Processes(patience=0) as processes:
        lines = {"port": "0", "tls-port": str(tls_port), "requirepass": password, "save": '""'}
        node = replace(start(processes, "redis", lines | tls, binary=binary), port=tls_port)
        options = {"host": "127.0.0.1", "ssl": True, "ssl_ca_certs": f"{folder}/ca.pem", "password": password}
        until(lambda: answers(node, **options))
        yield f"rediss://:{quote(password, safe='')}@127.0.0.1:{tls_port}/0"


def free_port() -> int:
    """Find a port below those that systems give to outgoing connections."""
    for port in range(12_000 + time.monotonic_ns() % 7_000, 20_000):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("no free port")


@dataclass
class Node:
    """One server of a constellation."""

    port: int
    child: Child

    def client(self, **options: object) -> Redis:
        """Give a new client of it; who asks for it closes it."""
        return Redis(port=self.port, **options)


def start(processes: Processes, name: str, lines: Mapping[str, str], *flags: str, binary: str = "") -> Node:
    """Start a server of that configuration; a line's name may end in digits to be there twice."""
    port, folder = free_port(), processes.folder / name
    folder.mkdir()
    config = folder / "redis.conf"
    text = {"bind": "127.0.0.1", "port": str(port), "dir": str(folder)} | dict(lines)
    config.write_text("".join(f"{key} {value}\n" for key, value in text.items()))
    return Node(port, processes.start(name, [binary or redis_server_binary(), config, *flags], {}))


def answers(node: Node, **options: object) -> bool:
    """Say whether a server runs."""
    try:
        with node.client(**options) as client:
            return bool(client.ping())
    except RedisError:
        return False


@dataclass
class Watched:
    """A primary, its replica, and three Sentinels over both."""

    url: str
    servers: list[Node]
    sentinels: list[Node]

    def primary(self) -> Node:
        """The server that the first Sentinel names now."""
        with self.sentinels[0].client() as client:
            _, port = client.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER)
        return next(node for node in self.servers if node.port == int(port))

    def role(self, node: Node) -> str:
        """What a server says that it is."""
        with node.client(password=PASSWORD) as client:
            return client.role()[0].decode()


@contextmanager
def watched() -> Iterator[Watched]:
    """A primary with a replica, watched by three Sentinels that act after a second."""
    with Processes(patience=0) as processes:
        common = {"requirepass": PASSWORD, "masterauth": PASSWORD, "appendonly": "yes", "save": '""'}
        first = start(processes, "primary", common)
        second = start(processes, "replica", common | {"replicaof": f"127.0.0.1 {first.port}"})
        for node in (first, second):
            until(lambda node=node: answers(node, password=PASSWORD))
        until(lambda: _in_step(second))
        rules = {
            f"sentinel monitor {MASTER}": f"127.0.0.1 {first.port} 2",
            f"sentinel auth-pass {MASTER}": PASSWORD,
            f"sentinel down-after-milliseconds {MASTER}": "1000",
            f"sentinel failover-timeout {MASTER}": "5000",
        }
        sentinels = [start(processes, f"sentinel{n}", rules, "--sentinel") for n in range(3)]
        for node in sentinels:
            until(lambda node=node: _knows(node))
        hosts = ";".join(f"127.0.0.1:{node.port}" for node in sentinels)
        url = f"sentinel://:{PASSWORD}@{hosts}/0?master={MASTER}"
        yield Watched(url, [first, second], sentinels)


def _in_step(replica: Node) -> bool:
    with replica.client(password=PASSWORD) as client:
        return client.info("replication")["master_link_status"] == "up"


def _knows(sentinel: Node) -> bool:
    """Whether a Sentinel has met the two others and the replica."""
    if not answers(sentinel):
        return False
    with sentinel.client(decode_responses=True) as client:
        flat = client.execute_command("SENTINEL", "MASTER", MASTER)
    found = flat if isinstance(flat, dict) else dict(zip(flat[::2], flat[1::2], strict=True))
    return int(found["num-slaves"]) == 1 and int(found["num-other-sentinels"]) == 2


@contextmanager
def cluster() -> Iterator[list[Node]]:
    """Three masters that share the slots."""
    with Processes(patience=0) as processes, ExitStack() as stack:
        lines = {"cluster-enabled": "yes", "save": '""', "cluster-node-timeout": "2000"}
        nodes = [start(processes, f"master{n}", lines) for n in range(3)]
        for node in nodes:
            until(lambda node=node: answers(node))
        clients = [stack.enter_context(node.client()) for node in nodes]
        edges = [SLOTS * n // 3 for n in range(4)]
        for n, client in enumerate(clients):
            client.execute_command("CLUSTER", "ADDSLOTS", *range(edges[n], edges[n + 1]))
            client.execute_command("CLUSTER", "SET-CONFIG-EPOCH", n + 1)
        for node in nodes[1:]:
            clients[0].execute_command("CLUSTER", "MEET", "127.0.0.1", node.port)
        until(lambda: all(b"cluster_state:ok" in _info(client) for client in clients))
        until(lambda: all(b"cluster_known_nodes:3" in _info(client) for client in clients))
        yield nodes


def _info(client: Redis) -> bytes:
    found = client.execute_command("CLUSTER", "INFO")
    if isinstance(found, dict):
        return b"\n".join(f"{key}:{value}".encode() for key, value in found.items())
    return found if isinstance(found, bytes) else str(found).encode()
