"""What Celery and kombu are told of a Redis URL, so that the broker's connections are like all others."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from pipeline.connections.address import Address, parse
from pipeline.connections.sync_clients import connection_options, pool_options, sentinel_options
from pipeline.errors import UnreachableError

CONNECTIONS = 10  # of a channel's pool at least; it waits for no free one
NOWHERE = "redis://none.invalid"


def broker_settings(url: str, timeout: float) -> dict[str, Any]:
    """Return the Celery settings that name the broker: broker_url, broker_use_ssl, broker_transport_options.

    kombu reads the plain place alone; all else it gets from the address, which is one of the transport options. What
    is not a URL leads nowhere: whoever uses it is told by `parse` first, and a program that only imports is not.
    """
    try:
        found = parse(url)
    except UnreachableError:
        return {"broker_url": NOWHERE, "broker_use_ssl": False, "broker_transport_options": {}}
    options = {**connection_options(found, timeout), **found.options, "address": found}
    if found.scheme == "sentinel":
        options |= {"master_name": found.master, "sentinel_kwargs": sentinel_options(found)}
    tls = {name: value for name, value in found.ssl_options.items() if name != "ssl_password"}
    return {
        "broker_url": _broker_url(found),
        "broker_use_ssl": tls if found.tls else False,
        "broker_transport_options": options,
    }


def connection_params(found: Address, sentinel: bool) -> dict[str, Any]:
    """Return what kombu makes a connection to Redis with, beside what it knows by itself."""
    place = {
        name: value for name, value in found.place.items() if not sentinel or name not in ("host", "port")
    }
    most = max(CONNECTIONS, pool_options(found).get("max_connections", 0))
    return {**place, **found.options, "max_connections": most}


def _broker_url(found: Address) -> str:
    """Write the place as kombu reads it, without options."""
    user = ":".join(quote(found.user.get(name, ""), safe="") for name in ("username", "password"))
    login = f"{user}@" if found.user else ""
    if found.path:
        return f"redis+socket://{login}{quote(found.path)}?virtual_host={found.db}"
    hosts = [(f"[{host}]" if ":" in host else quote(host), port) for host, port in found.hosts]
    return ";".join(f"{found.scheme}://{login}{host}:{port}/{found.db}" for host, port in hosts)
