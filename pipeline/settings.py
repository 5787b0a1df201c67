"""Settings: one frozen value, read from the environment."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.environment import count, explained, number, read, seconds, setting
from pipeline.errors import KeyFormatError, SettingsError
from pipeline.flows.pipe import check_version
from pipeline.local_session import nearby, nearby_flows

_USER = re.compile(r"[\w.%~-]*")
_PORT = re.compile(r"(?<=:)(?![\d*]+(?:[/?;,]|$))[^/?;,:\[\]]+")  # no number: what follows may be a password
# To the next name=: a password that is not escaped may hold any character.
_PARAMETER = re.compile(r"([?&]\w*password=)[^&]*(?:&(?![a-z_]+=)[^&]*)*", re.IGNORECASE)
DEFAULT_VERSION = "main"
DEFAULT_REDIS_URL = "redis://127.0.0.1:6379/0"


def git_version() -> str | None:
    """Return the branch, or else the tag, that is checked out in the working folder; None outside a checkout."""
    for command in (
        ["git", "symbolic-ref", "--short", "-q", "HEAD"],
        ["git", "describe", "--tags", "--exact-match"],
    ):
        try:
            found = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
        except (OSError, subprocess.TimeoutExpired):
            return None
        if found.returncode == 0 and found.stdout.strip():
            return found.stdout.strip()
    return None


def without_secret(url: str) -> str:
    """Write a URL without its password, whatever is wrong with it."""
    scheme, sep, rest = url.partition("://") if "://" in url else ("", "", url)
    login, at, place = rest.rpartition("@")  # the last one: one in a password may not be escaped
    user, colon, _ = login.partition(":")
    known = f"{user if colon and _USER.fullmatch(user) else ''}{colon}***@" if at else ""
    if not place.startswith(("[", "/")):
        place = _PORT.sub("***", place)
    return scheme + sep + known + _PARAMETER.sub(r"\1***", place)


def _version(value: str, _: str, advice: str = "") -> str:
    try:
        return check_version(value)
    except KeyFormatError as error:
        raise SettingsError(f"PIPELINE_VERSION: {error}{advice}") from None


def _git_version() -> str | None:
    found, advice = git_version(), ". This one is the git branch: set PIPELINE_VERSION to use another."
    return _version(found, "", advice) if found else None


def _flows(value: str, _: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in value.split(",") if name.strip())


def _price(value: str, name: str) -> float:
    if not 0 <= (found := number(value)) < float("inf"):
        raise SettingsError(
            f"{name}={value!r} is not a price. Give what an hour of one slot costs, as a number: 0.05"
        )
    return found


@explained
@dataclass(frozen=True, slots=True)
class Settings:
    """What differs between a laptop, a test and production. Lengths of time are seconds.

    Example:
        >>> Settings.from_env({"REDIS_URL": "redis://10.0.0.1:6379/0", "PIPELINE_LEASE": "1m"}).lease
        60.0
    """

    redis_url: str = setting(
        "REDIS_URL",
        DEFAULT_REDIS_URL,
        "broker, control keys, states; else that of `wave up` here",
        unset=nearby,
    )
    store_url: str = setting("PIPELINE_STORE_URL", "", "pipe store, which may be a Cluster; else REDIS_URL's")
    version: str | None = setting(
        "PIPELINE_VERSION", None, "of the code; else git branch or tag", _version, unset=_git_version
    )
    flows: tuple[str, ...] = setting(
        "PIPELINE_FLOWS", (), "module[:flow],...; else those of `wave up` here", _flows, unset=nearby_flows
    )
    models: str = setting("PIPELINE_MODELS", "models", "models' folder, or s3://bucket/prefix")
    lease: float = setting("PIPELINE_LEASE", 30.0, "how long a claim holds without being renewed", seconds)
    min_ttl: float = setting("PIPELINE_MIN_TTL", 86400.0, "a pipe lives at least, however old", seconds)
    wave_ttl: float = setting("PIPELINE_WAVE_TTL", 604800.0, "a wave's record lives after expiry", seconds)
    max_value: int = setting("PIPELINE_MAX_VALUE", 1_000_000, "bytes of one encoded pipe at most", count)
    shard_seconds: float = setting("PIPELINE_SHARD_SECONDS", 2.0, "work of one message", seconds)
    shard_size: int = setting("PIPELINE_SHARD_SIZE", 500, "entities of a shard before costs are known", count)
    shard_max: int = setting("PIPELINE_SHARD_MAX", 1000, "entities of a shard at most", count)
    socket_timeout: float = setting("PIPELINE_SOCKET_TIMEOUT", 20.0, "that Redis may take to answer", seconds)
    drain: float = setting("PIPELINE_DRAIN", 25.0, "for a worker to end what it runs, after SIGTERM", seconds)
    keeper: float = setting("PIPELINE_KEEPER", 1.0, "between two looks at the deadlines", seconds)
    log: str = setting("PIPELINE_LOG", "", "how logs are written, json or text; else text in a terminal")
    traces: str = setting("PIPELINE_TRACES", "", "address of a collector that takes OTLP over HTTP")
    price: float = setting("PIPELINE_PRICE", 0.0, "of an hour of one slot, in whatever currency", _price)

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> Settings:
        """Read the environment (`os.environ` by default). Raises SettingsError, which names the variable."""
        return read(cls, environ)

    @property
    def pipe_store_url(self) -> str:
        """Where pipes are stored."""
        return self.store_url or self.redis_url

    def __repr__(self) -> str:
        shown = {name: getattr(self, name) for name in self.__slots__}
        shown |= {name: without_secret(shown[name]) for name in ("redis_url", "store_url")}
        return f"Settings({', '.join(f'{name}={value!r}' for name, value in shown.items())})"

    def any_version(self) -> str:
        """Return the version that a person works with: the own one, or `main` where nothing tells it."""
        return self.version or DEFAULT_VERSION

    def own_version(self) -> str:
        """Return the version that this process works for. Raises SettingsError when nothing tells it."""
        if self.version is None:
            raise SettingsError(
                "no version: PIPELINE_VERSION is not set and this is not a git checkout on a branch or tag. "
                "Set PIPELINE_VERSION to the branch that this code was built from (images bake it in)."
            )
        return self.version
