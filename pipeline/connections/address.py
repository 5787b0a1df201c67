"""Where a Redis is, read from a URL once, for everything that connects to it.

    redis://[user:password@]host:port/db      one server
    rediss://...?ssl_ca_certs=/path/ca.pem    the same with TLS; its certificate is checked, by these authorities
    unix:///path/to/socket?db=0               one server on this machine (Celery's redis+socket:///path is the same)
    sentinel://[user:password@]host:port;host:port/db?master=NAME
                                              the primary of that name, as the Sentinels know it; the user is
                                              Redis' own. What concerns the connections to the Sentinels begins with
                                              sentinel_: &sentinel_username, &sentinel_password, &sentinel_ssl
    redis+cluster://, rediss+cluster://       a Redis Cluster, by any of its nodes; for pipes only

Options are added as parameters, as in redis-py; `url_options` has them. Characters of a password that mean something
in a URL are percent-encoded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any
from urllib.parse import unquote, unquote_plus

from redis.driver_info import DriverInfo

from pipeline.connections.url_options import CONNECTION, KNOWN, POOL, SENTINEL, TCP, TLS, read_options
from pipeline.errors import UnreachableError
from pipeline.settings import without_secret

PORT, SENTINEL_PORT = 6379, 26379
CLUSTER = ("redis+cluster", "rediss+cluster")
_ALIASES = {"redis+socket": "unix", "socket": "unix"}
_ESCAPE = (
    " In a user name or a password every character but letters and digits is percent-encoded (%40 for @)."
)
_SENTINEL_FORM = "It looks like sentinel://user:password@host:26379;host:26379/0?master=NAME."


@dataclass(frozen=True, slots=True)
class Address:
    """Where a Redis is, and how to connect to it."""

    url: str = field(repr=False)
    scheme: str  # of `url_options.KNOWN`
    hosts: tuple[
        tuple[str, int], ...
    ] = ()  # of the server, a node or the Sentinels; none for a socket's path
    path: str = ""
    db: int = 0
    master: str = ""  # as the Sentinels call it
    tls: bool = False
    user: Mapping[str, str] = field(default_factory=dict, repr=False)  # username and password, where given
    options: Mapping[str, Any] = field(default_factory=dict, repr=False)  # of each connection
    pool: Mapping[str, Any] = field(default_factory=dict, repr=False)  # of a pool that makes callers wait
    sentinel: Mapping[str, Any] = field(default_factory=dict, repr=False)  # of connections to the Sentinels

    @property
    def place(self) -> dict[str, Any]:
        """What a connection to one server is made with, apart from the options."""
        where: dict[str, Any] = {"path": self.path}
        if self.hosts:
            where = {"host": self.hosts[0][0], "port": self.hosts[0][1]}
        return {**where, "db": self.db, **self.user}

    @property
    def ssl_options(self) -> dict[str, Any]:
        """Those of the options that are about TLS; a certificate is checked unless they say otherwise."""
        return {"ssl_cert_reqs": "required"} | {n: v for n, v in self.options.items() if n in TLS}

    def __str__(self) -> str:
        return without_secret(self.url)


def is_cluster(url: str) -> bool:
    """Return whether a URL names a Redis Cluster."""
    return url.strip().partition("://")[0].lower() in CLUSTER


@lru_cache
def parse(url: str) -> Address:
    """Read a URL. Raises UnreachableError, which says what is wrong with it and shows no password."""
    shown = without_secret(url.strip())
    scheme, sep, rest = url.strip().partition("://")
    scheme = _ALIASES.get(scheme.lower(), scheme.lower())
    if not sep or scheme not in KNOWN:
        known = ", ".join(f"{name}://" for name in KNOWN)
        raise UnreachableError(f"{shown!r} is not a Redis URL. It begins with one of {known}.")
    body, _, query = rest.partition("?")
    given = read_options(scheme, _pairs(scheme, query, shown), shown)
    login, tail, path = _parts(scheme, body)
    if "#" in rest or ("@" in path and scheme != "unix"):
        raise _wrong(shown, "it holds a character that must be percent-encoded.", "@")
    name, colon, password = login.partition(":")
    user = {key: str(given.pop(key)) for key in ("username", "password") if key in given}
    user |= {"username": unquote(name)} if name else {}
    user |= {"password": unquote(password)} if colon and password else {}
    found = {"url": url.strip(), "scheme": scheme, "user": user, **_sorted_out(given)}
    if scheme == "unix":
        return Address(**found, **_socket(given, tail, path, shown))
    return Address(**found, **_network(scheme, given, tail, path, shown))


def _parts(scheme: str, body: str) -> tuple[str, str, str]:
    """Part what stands before the parameters: who, where, and the path."""
    if scheme == "sentinel":  # Celery writes a whole URL for each of them; who logs in is the same everywhere
        urls = body.split(";sentinel://")
        _, slash, path = urls[-1].partition("/")
        logins, places = zip(*(_login(url.partition("/")[0]) for url in urls), strict=True)
        return logins[0], ";".join(places), slash + path
    authority, slash, path = body.partition("/")
    return *_login(authority), slash + path


def _login(authority: str) -> tuple[str, str]:
    login, _, place = authority.rpartition("@")
    return login, place


def _pairs(scheme: str, query: str, shown: str) -> dict[str, str]:
    """Part the parameters of a URL; the first of a name holds, and one without a value says nothing.

    What may be the rest of a password that holds a `?` or a `&` is not a name that a message may show.
    """
    found: dict[str, str] = {}
    before = ""
    for part in filter(None, query.split("&")):
        name, equals, value = (unquote_plus(text) for text in part.partition("="))
        rest_of_password = name not in KNOWN[scheme] and ("@" in query or "password" in before)
        if not equals or rest_of_password:
            raise _wrong(shown.partition("?")[0] + "?***", "a parameter is written name=value.", "@")
        if value:
            found.setdefault(name, value)
        before = name
    return found


def _sorted_out(given: dict[str, Any]) -> dict[str, Any]:
    """Return which options are of connections, of the pool, and of connections to Sentinels."""
    own = {name.removeprefix(SENTINEL): value for name, value in given.items() if name.startswith(SENTINEL)}
    return {
        "options": _driver({n: v for n, v in given.items() if n in CONNECTION | TCP | TLS}),
        "pool": {name: value for name, value in given.items() if name in POOL},
        "sentinel": _driver(own),
    }


def _driver(options: dict[str, Any]) -> dict[str, Any]:
    """Put lib_name and lib_version together, as redis-py wants them now."""
    named = {"name": options.pop("lib_name", None), "lib_version": options.pop("lib_version", None)}
    kept = {name: value for name, value in named.items() if value}
    return options | ({"driver_info": DriverInfo(**kept)} if kept else {})


def _socket(given: dict[str, Any], tail: str, path: str, shown: str) -> dict[str, Any]:
    where = given.get("path", unquote(path))
    if tail or not where.startswith("/"):
        raise _wrong(
            shown, "it names no socket by its whole path. It looks like unix:///run/redis.sock?db=0."
        )
    return {"path": where, "db": given.get("db", given.get("virtual_host", 0))}


def _network(scheme: str, given: dict[str, Any], tail: str, path: str, shown: str) -> dict[str, Any]:
    master = given.get("master", given.get("master_name", ""))
    try:
        hosts = _hosts(scheme, tail, given)
        db = given.get("db", given.get("virtual_host", _db(path)))
        if scheme == "sentinel" and not master:
            raise ValueError("it does not name the master.")
        if scheme in CLUSTER and db:
            raise ValueError("a Cluster has database 0 alone.")
    except ValueError as error:
        raise _wrong(shown, str(error), tail + path, scheme) from None
    tls = scheme.startswith("rediss") or given.get(
        "ssl", scheme == "sentinel" and not TLS.keys().isdisjoint(given)
    )
    return {"hosts": hosts, "db": db, "master": master, "tls": tls}


def _db(path: str) -> int:
    number = unquote(path).strip("/")
    if number and not (number.isascii() and number.isdigit()):
        raise ValueError("its path is not a number of a database.")
    return int(number or 0)


def _hosts(scheme: str, places: str, given: dict[str, Any]) -> tuple[tuple[str, int], ...]:
    """Read host:port, of Sentinels several with `;` between them."""
    several = places.split(";") if scheme == "sentinel" else [places]
    port = SENTINEL_PORT if scheme == "sentinel" else given.get("port", PORT)
    found = [_host(place, port) for place in several]
    if scheme != "sentinel":
        found = [(host or given.get("host", "localhost"), port) for host, port in found]
    if not all(host for host, _ in found):
        raise ValueError("it does not name the host.")
    return tuple(found)


def _host(place: str, default: int) -> tuple[str, int]:
    if place.startswith("["):  # IPv6
        host, bracket, rest = place[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise ValueError("its [IPv6 address] does not end.")
        port = rest[1:]
    else:
        host, _, port = place.partition(":")
    if port and not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise ValueError("its port is not a number from 1 to 65535; an IPv6 address is written [::1].")
    return unquote(host), int(port or default)


def _wrong(shown: str, why: str, rest: str = "", scheme: str = "") -> UnreachableError:
    if scheme == "sentinel":
        return UnreachableError(f"{shown!r} is not a Sentinel URL: {why} {_SENTINEL_FORM}")
    return UnreachableError(f"{shown!r} is not a Redis URL: {why}{_ESCAPE if '@' in rest else ''}")
