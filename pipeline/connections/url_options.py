"""The options of a Redis URL: what each is called, and how its text is read.

They are those that redis-py takes in a URL, with Celery's spellings of them. What is an object in redis-py (a retry, a
provider of credentials) cannot be said in a URL, and is refused like any other unknown name.
"""

from __future__ import annotations

import math
import ssl
from collections.abc import Callable, Mapping
from typing import Any

from pipeline.errors import UnreachableError, near

_YES, _NO = ("true", "yes", "1", "on", "y", "t"), ("false", "no", "0", "off", "n", "f")
_REQUIRE = ("none", "optional", "required")


def _text(value: str) -> str:
    return value


def _seconds(value: str) -> float:
    """Read a time above zero, in seconds."""
    found = float(value)
    if not 0 < found < math.inf:
        raise ValueError(value)
    return found


def _whole(least: int) -> Callable[[str], int]:
    def read(value: str) -> int:
        if not (value.isascii() and value.isdigit() and int(value) >= least):
            raise ValueError(value)
        return int(value)

    read.__doc__ = f"Read a whole number from {least} on."
    return read


def _flag(value: str) -> bool:
    """Read true or false."""
    if value.lower() not in _YES + _NO:
        raise ValueError(value)
    return value.lower() in _YES


def _require(value: str) -> str:
    """Read none, optional or required."""
    found = value.lower().removeprefix("cert_")
    if found not in _REQUIRE:
        raise ValueError(value)
    return found


def _verify_flags(value: str) -> list[ssl.VerifyFlags]:
    """Read names of ssl.VerifyFlags with commas between them."""
    names = [name.strip() for name in value.strip("[]").split(",")]
    try:
        return [ssl.VerifyFlags[name] for name in names]
    except KeyError:
        raise ValueError(value) from None


def _tls_version(value: str) -> ssl.TLSVersion:
    """Read a TLS version, as in TLSv1_2 or 771."""
    if value.isdigit():
        return ssl.TLSVersion(int(value))
    try:
        return ssl.TLSVersion[value.replace(".", "_")]
    except KeyError:
        raise ValueError(value) from None


def _fixed(*spellings: str) -> Callable[[str], None]:
    def read(value: str) -> None:
        if value.lower() not in spellings:
            raise ValueError(value)

    read.__doc__ = f"Read {spellings[0]}, and nothing else: what is stored depends on it."
    return read


def _protocol(value: str) -> int:
    """Read 2 or 3."""
    if value not in ("2", "3"):
        raise ValueError(value)
    return int(value)


Reader = Callable[[str], Any]

PLACE: dict[str, Reader] = {
    "username": _text,
    "password": _text,
    "db": _whole(0),
    "virtual_host": _whole(0),  # Celery's word for it, of redis+socket://
}
HOST: dict[str, Reader] = {"host": _text, "port": _whole(1)}
POOL: dict[str, Reader] = {"max_connections": _whole(1), "timeout": _seconds}
CONNECTION: dict[str, Reader] = {
    "socket_timeout": _seconds,
    "socket_read_size": _whole(1),
    "retry_on_timeout": _flag,
    "health_check_interval": _whole(0),
    "client_name": _text,
    "lib_name": _text,
    "lib_version": _text,
    "protocol": _protocol,
    "encoding": _fixed("utf-8", "utf8", "utf_8"),
    "encoding_errors": _fixed("strict"),
    "decode_responses": _fixed(*_NO),
    "legacy_responses": _fixed(*_YES),
}
TCP: dict[str, Reader] = {"socket_connect_timeout": _seconds, "socket_keepalive": _flag}
TLS: dict[str, Reader] = {
    "ssl_cert_reqs": _require,
    "ssl_ca_certs": _text,
    "ssl_ca_data": _text,
    "ssl_ca_path": _text,
    "ssl_certfile": _text,
    "ssl_keyfile": _text,
    "ssl_password": _text,
    "ssl_check_hostname": _flag,
    "ssl_include_verify_flags": _verify_flags,
    "ssl_exclude_verify_flags": _verify_flags,
    "ssl_min_version": _tls_version,
    "ssl_ciphers": _text,
}
_CLUSTER_LACKS = ("ssl_min_version", "ssl_ciphers")  # redis-py's client of a Cluster would drop them unread
SENTINEL = "sentinel_"  # before the name of an option of the connections to the Sentinels

_SENTINELS = {"username": _text, "password": _text, "ssl": _flag, **CONNECTION, **TCP, **TLS}
KNOWN: dict[str, dict[str, Reader]] = {
    "redis": PLACE | HOST | POOL | CONNECTION | TCP,
    "rediss": PLACE | HOST | POOL | CONNECTION | TCP | TLS,
    "unix": PLACE | POOL | CONNECTION | {"path": _text, "socket_connect_timeout": _seconds},
    "sentinel": PLACE | POOL | CONNECTION | TCP | TLS | {"ssl": _flag, "master": _text, "master_name": _text}
    | {SENTINEL + name: reader for name, reader in _SENTINELS.items()},
    "redis+cluster": PLACE | HOST | POOL | CONNECTION | TCP,
    "rediss+cluster": PLACE
    | HOST
    | POOL
    | CONNECTION
    | TCP
    | {name: reader for name, reader in TLS.items() if name not in _CLUSTER_LACKS},
}  # fmt: skip


def read_options(scheme: str, given: Mapping[str, str], shown: str) -> dict[str, Any]:
    """Read the options of a URL, name -> text. Those that may have one value only are left out.

    Raises UnreachableError, which names the option and the near ones; `shown` is the URL as a message may show it.
    """
    known, found = KNOWN[scheme], {}
    for name, text in given.items():
        if name not in known:
            raise UnreachableError(f"{shown!r} has an option {name!r}, {_why(scheme, name)}")
        try:
            found[name] = known[name](text)
        except ValueError:
            secret = "password" in name
            raise UnreachableError(
                f"{shown!r}: {name}={'***' if secret else repr(text)} cannot be read. {_form(known[name])}"
            ) from None
    return {name: value for name, value in found.items() if value is not None}


def _why(scheme: str, name: str) -> str:
    """Return why an option is not taken, and what to do."""
    if scheme in ("redis", "redis+cluster") and (name in TLS or name == "ssl"):
        return f"which is one of TLS: begin the URL with {scheme.replace('redis', 'rediss')}://."
    if scheme == "rediss+cluster" and name in _CLUSTER_LACKS:
        return "which redis-py's client of a Cluster does not take. Leave it out."
    return f"which {scheme}:// does not have.{near(name, KNOWN[scheme])} Known: {', '.join(sorted(KNOWN[scheme]))}."


def _form(reader: Reader) -> str:
    """Return what an option takes, in the words of its reader."""
    return f"It takes {(reader.__doc__ or '').removeprefix('Read ')}"
