"""What differs between a laptop, a test and production, for the HTTP API: read from the environment."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.environment import read, seconds, setting, size
from pipeline.errors import DurationError, SettingsError
from pipeline.flows import durations
from pipeline.web.tokens import Tokens


def _tokens(value: str, _: str) -> Tokens:
    return Tokens.parse(value.split(","))


def _address(value: str, name: str) -> str:
    if not value.startswith(("http://", "https://")):
        raise SettingsError(
            f"{name}={value!r} is not an address of a page. Give one like http://127.0.0.1:5555"
        )
    return value


def _rate(value: str, name: str) -> float:
    try:
        return durations.per_second(value, name)
    except DurationError as error:
        raise SettingsError(f"{error} (from the environment)") from None


@dataclass(frozen=True, slots=True)
class WebSettings:
    """How the HTTP API answers. Each process of it counts on its own: behind a load balancer, give each its part."""

    host: str = setting("PIPELINE_WEB_HOST", "127.0.0.1", "where it listens")
    port: int = setting("PIPELINE_WEB_PORT", 8000, "at which port; 0 for any free one", size)
    tokens: Tokens = setting(
        "PIPELINE_TOKENS", Tokens, "name=sha256:...,...; PIPELINE_TOKENS_FILE: a line each", _tokens
    )
    body: int = setting("PIPELINE_WEB_BODY", 1_000_000, "bytes of a request's body at most", size)
    rate: float = setting("PIPELINE_WEB_RATE", 0.0, "requests of a token or address, 100/s; 0 for any", _rate)
    slow: float = setting("PIPELINE_WEB_SLOW", 10.0, "that a client may take to send its request", seconds)
    flower: str = setting("PIPELINE_FLOWER_URL", "", "where Flower is, for the dashboard's link", _address)
    pace: float = setting("PIPELINE_WEB_PACE", 0.005, "least time between two messages to a model", seconds)

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> WebSettings:
        """Read the environment (`os.environ` by default). Raises SettingsError, which names the variable."""
        env = os.environ if environ is None else environ
        found = read(cls, env)
        if path := env.get("PIPELINE_TOKENS_FILE"):
            try:
                lines = Path(path).read_text().splitlines()
            except OSError as error:
                raise SettingsError(f"PIPELINE_TOKENS_FILE={path} cannot be read: {error}.") from None
            tokens = Tokens(found.tokens.hashes + Tokens.parse(lines).hashes)
            found = replace(found, tokens=tokens)
        return found

    def check(self) -> None:
        """Raise SettingsError where the API would be open to others than this machine."""
        if not self.tokens and self.host not in ("127.0.0.1", "::1", "localhost"):
            raise SettingsError(
                f"the API would answer everybody who reaches {self.host}: there are no tokens. `wave serving token "
                "NAME` makes one; give PIPELINE_TOKENS what it says."
            )

    def check_port(self) -> None:
        """Raise SettingsError where nothing can listen at the address: said before a server is started in vain."""
        kind = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        with socket.socket(kind, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((self.host, self.port))
            except OSError as error:
                raise SettingsError(
                    f"nothing can listen at port {self.port} of {self.host}: {error.strerror or error}. Give another "
                    "one: --port (with `wave up` --web-port), or PIPELINE_WEB_PORT."
                ) from None
