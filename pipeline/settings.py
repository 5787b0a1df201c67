"""Settings: one frozen value, read from the environment."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass

from pipeline import environment
from pipeline.errors import KeyFormatError, SettingsError
from pipeline.flows.pipe import check_version
from pipeline.local_session import nearby, nearby_flows

_PASSWORD = re.compile(r"//([^:/@]*):.*@")  # to the last @: one that is not escaped may hold any character
_PARAMETER = re.compile(r"([?&](?:sentinel_)?password=)[^&]*")
DEFAULT_VERSION = "main"
DEFAULT_REDIS_URL = "redis://127.0.0.1:6379/0"


@dataclass(frozen=True, slots=True)
class Settings:
    """What differs between a laptop, a test and production."""

    # REDIS_URL, else what `wave up` brought to this folder: broker, control keys, states; see `connections`.
    redis_url: str = DEFAULT_REDIS_URL
    store_url: str = ""  # PIPELINE_STORE_URL: the pipe store, which may be a Cluster; "" for the same Redis
    version: str | None = None  # PIPELINE_VERSION, else the git branch; None where there is neither
    flows: tuple[
        str, ...
    ] = ()  # PIPELINE_FLOWS: module[:flow],...; else those of the `wave up` of this folder
    models: str = "models"  # PIPELINE_MODELS: where models are kept, a folder or s3://bucket/prefix
    lease: float = 30.0  # PIPELINE_LEASE: seconds that a claim holds without being renewed
    min_ttl: float = 86400.0  # PIPELINE_MIN_TTL: seconds that a pipe is kept at least, however old its date
    wave_ttl: float = 7 * 86400.0  # PIPELINE_WAVE_TTL: seconds that a wave's record is kept after its expiry
    max_value: int = 1_000_000  # PIPELINE_MAX_VALUE: bytes of one encoded pipe at most
    shard_seconds: float = 2.0  # PIPELINE_SHARD_SECONDS: how much work one message should be worth
    shard_size: int = 500  # PIPELINE_SHARD_SIZE: entities of a shard before any cost was measured
    shard_max: int = 1000  # PIPELINE_SHARD_MAX: entities of a shard at most
    socket_timeout: float = 20.0  # PIPELINE_SOCKET_TIMEOUT: seconds that Redis may take to answer
    drain: float = 25.0  # PIPELINE_DRAIN: seconds after SIGTERM in which a worker may end what it runs
    keeper: float = 1.0  # PIPELINE_KEEPER: seconds between two looks at the deadlines
    log: str = (
        ""  # PIPELINE_LOG: how processes write their log, json or text; "" for text in a terminal, else json
    )
    traces: str = ""  # PIPELINE_TRACES: address of a collector that takes OTLP over HTTP; "" for none
    price: float = (
        0.0  # PIPELINE_PRICE: of an hour of one slot, in whatever currency; 0 where it is not known
    )

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> Settings:
        """Read the environment (`os.environ` by default). Raises SettingsError, which names the variable."""
        env = os.environ if environ is None else environ
        default = cls()
        return cls(
            redis_url=env.get("REDIS_URL") or nearby() or default.redis_url,
            store_url=env.get("PIPELINE_STORE_URL", ""),
            version=_version(env),
            flows=_flows(env) or nearby_flows(),
            models=env.get("PIPELINE_MODELS") or default.models,
            lease=environment.seconds(env, "PIPELINE_LEASE", default.lease),
            min_ttl=environment.seconds(env, "PIPELINE_MIN_TTL", default.min_ttl),
            wave_ttl=environment.seconds(env, "PIPELINE_WAVE_TTL", default.wave_ttl),
            max_value=environment.count(env, "PIPELINE_MAX_VALUE", default.max_value),
            shard_seconds=environment.seconds(env, "PIPELINE_SHARD_SECONDS", default.shard_seconds),
            shard_size=environment.count(env, "PIPELINE_SHARD_SIZE", default.shard_size),
            shard_max=environment.count(env, "PIPELINE_SHARD_MAX", default.shard_max),
            socket_timeout=environment.seconds(env, "PIPELINE_SOCKET_TIMEOUT", default.socket_timeout),
            drain=environment.seconds(env, "PIPELINE_DRAIN", default.drain),
            keeper=environment.seconds(env, "PIPELINE_KEEPER", default.keeper),
            traces=env.get("PIPELINE_TRACES", ""),
            price=_price(env),
        )

    @property
    def pipe_store_url(self) -> str:
        """Where pipes are stored."""
        return self.store_url or self.redis_url

    def __repr__(self) -> str:
        shown = {name: getattr(self, name) for name in self.__slots__}
        shown["redis_url"], shown["store_url"] = (
            without_secret(self.redis_url),
            without_secret(self.store_url),
        )
        return f"Settings({', '.join(f'{name}={value!r}' for name, value in shown.items())})"

    def any_version(self) -> str:
        """Give the version that a person works with: the own one, or `main` where nothing tells it."""
        return self.version or DEFAULT_VERSION

    def own_version(self) -> str:
        """Give the version that this process works for. Raises SettingsError when nothing tells it."""
        if self.version is None:
            raise SettingsError(
                "no version: PIPELINE_VERSION is not set and this is no git checkout on a branch or tag. "
                "Set PIPELINE_VERSION to the branch that this code was built from (images bake it in)."
            )
        return self.version


def git_version() -> str | None:
    """Give the branch, or else the tag, that is checked out in the working folder; None outside a checkout."""
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
    """Write a URL without its password."""
    return _PARAMETER.sub(r"\1***", _PASSWORD.sub(r"//\1:***@", url))


def _version(env: Mapping[str, str]) -> str | None:
    given = env.get("PIPELINE_VERSION")
    found = given or git_version()
    try:
        return check_version(found) if found else None
    except KeyFormatError as error:
        advice = "" if given else ". This one is the git branch: set PIPELINE_VERSION to use another."
        raise SettingsError(f"PIPELINE_VERSION: {error}{advice}") from None


def _flows(env: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(name.strip() for name in env.get("PIPELINE_FLOWS", "").split(",") if name.strip())


def _price(env: Mapping[str, str]) -> float:
    text = env.get("PIPELINE_PRICE") or "0"
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise SettingsError(
            f"PIPELINE_PRICE={text!r} is no price. Give what an hour of one slot costs, as a number: 0.05"
        )
    return value
