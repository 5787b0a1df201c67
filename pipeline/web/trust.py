"""Who asks, and whether a request that changes something was meant: it comes from one of our own pages."""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.requests import Request

from pipeline.web.responses import HttpError

OWNER = "wave.owner"  # in a request's scope: the name of who holds its token
_HERE = ("localhost", "127.0.0.1", "::1")


def owner_of(request: Request) -> str | None:
    """Return the name of who holds the request's token, None where there are no tokens."""
    found: str | None = request.scope.get(OWNER)
    return found


def check_meant(request: Request) -> None:
    """Raise HttpError (403) unless a request that changes something was sent by a page of this address.

    A browser sends what it knows of the user with any site's request. It says where that came from, in
    Sec-Fetch-Site, and in Origin. Where there are no tokens only this machine's own names are an address of ours: any
    other name may be one that a foreign site has pointed here.
    """
    host = urlsplit(f"//{request.headers.get('host', '')}")
    if owner_of(request) is None and host.hostname not in _HERE:
        raise HttpError(
            403, f"changes by way of {host.hostname} need tokens: `wave serving token NAME` makes one."
        )
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    meant = site == "same-origin" if site else bool(origin) and urlsplit(origin).netloc == host.netloc
    if not meant:
        raise HttpError(
            403, "this change was asked for by another site, or nothing says by which. Use the page."
        )
