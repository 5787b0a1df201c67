"""What differs between a laptop, a test and production, for the HTTP API: read from the environment."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pipeline import environment
from pipeline.errors import DurationError, SettingsError
from pipeline.flows import durations
from pipeline.web.tokens import Tokens


@dataclass(frozen=True, slots=True)
class WebSettings:
    """How the HTTP API answers."""

    host: str = "127.0.0.1"  # PIPELINE_WEB_HOST
    port: int = 8000  # PIPELINE_WEB_PORT; 0 for any free one
    # PIPELINE_TOKENS: "name=sha256:...,...", or PIPELINE_TOKENS_FILE with a line each. None: everybody may ask.
    tokens: Tokens = field(default_factory=Tokens)
    body: int = 1_000_000  # PIPELINE_WEB_BODY: bytes of a request's body at most
    # PIPELINE_WEB_RATE: requests a second of one token or address, "100/s"; 0 for no limit. Each process of the API
    # counts what reaches it: behind a load balancer, give each its part.
    rate: float = 0.0
    slow: float = 10.0  # PIPELINE_WEB_SLOW: seconds that a client may take to send its request
    flower: str = ""  # PIPELINE_FLOWER_URL: where Flower is, for the dashboard's link to it
    pace: float = 0.005  # PIPELINE_WEB_PACE: seconds between two messages to a model at least

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> WebSettings:
        """Read the environment (`os.environ` by default). Raises SettingsError, which names the variable."""
        env = os.environ if environ is None else environ
        default = cls()
        return cls(
            host=env.get("PIPELINE_WEB_HOST") or default.host,
            port=environment.count(env, "PIPELINE_WEB_PORT", default.port, least=0),
            tokens=_tokens(env),
            body=environment.count(env, "PIPELINE_WEB_BODY", default.body, least=0),
            rate=_rate(env, "PIPELINE_WEB_RATE"),
            slow=environment.seconds(env, "PIPELINE_WEB_SLOW", default.slow),
            flower=_address(env, "PIPELINE_FLOWER_URL"),
            pace=environment.seconds(env, "PIPELINE_WEB_PACE", default.pace),
        )

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


def _tokens(env: Mapping[str, str]) -> Tokens:
    lines = env.get("PIPELINE_TOKENS", "").split(",")
    if path := env.get("PIPELINE_TOKENS_FILE"):
        try:
            lines += Path(path).read_text().splitlines()
        except OSError as error:
            raise SettingsError(f"PIPELINE_TOKENS_FILE={path} cannot be read: {error}.") from None
    return Tokens.parse(lines)


def _address(env: Mapping[str, str], name: str) -> str:
    found = env.get(name, "")
    if found and not found.startswith(("http://", "https://")):
        raise SettingsError(f"{name}={found!r} is no address of a page. Give one like http://127.0.0.1:5555")
    return found


def _rate(env: Mapping[str, str], name: str) -> float:
    value = env.get(name)
    if not value:
        return 0.0
    try:
        return durations.per_second(value, name)
    except DurationError as error:
        raise SettingsError(f"{error} (from the environment)") from None
