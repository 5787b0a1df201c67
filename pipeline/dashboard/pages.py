"""Templates: how pages are written, for the packages that add some too."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import orjson
from fastapi.responses import HTMLResponse
from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

from pipeline.formatting import length, plural
from pipeline.gate.status_groups import KINDS, kind
from pipeline.waves.cost import money

SHOWN = 120  # characters of a value in a table

# A page needs nothing from elsewhere, and nothing from elsewhere may get in.
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self' 'unsafe-inline'; script-src 'self'; "
    "img-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class Pages:
    """Writes pages from the templates of packages; those of the dashboard are the last that are looked at."""

    def __init__(self, *packages: str, menu: Mapping[str, str] | None = None) -> None:
        """Take packages with a folder `templates`, and what stands in the menu: address -> text."""
        loaders = [PackageLoader(name) for name in (*packages, "pipeline.dashboard")]
        self._env = Environment(
            loader=ChoiceLoader(loaders),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        filters: dict[str, Callable[..., Any]] = {
            "length": length,
            "moment": moment,
            "short": short,
            "kind": kind,
            "thousands": lambda n: f"{n:,}",
            "plural": plural,
            "money": money,
        }
        self._env.filters |= filters
        self._env.globals |= {"url": url, "kinds": KINDS, "menu": menu or {}}

    def write(self, template: str, status: int = 200, **context: Any) -> HTMLResponse:
        """Write a page."""
        text = self._env.get_template(template).render(**context)
        return HTMLResponse(text, status, HEADERS)


def url(path: str, **query: Any) -> str:
    """Write an address of the dashboard with its query, without what is empty."""
    given = {name: value for name, value in query.items() if value not in (None, "")}
    return f"{path}?{urlencode(given)}" if given else path


def moment(value: datetime | float) -> str:
    """Write a time in UTC."""
    at = value if isinstance(value, datetime) else datetime.fromtimestamp(value, UTC)
    return f"{at:%Y-%m-%d %H:%M:%S}"


def short(value: Any, limit: int = SHOWN) -> str:
    """Write a pipe's value on one line, as JSON, cut where it is long."""
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, bytes):
        text = f"{len(value):,} bytes"
    else:
        text = orjson.dumps(value, default=str, option=orjson.OPT_SERIALIZE_NUMPY).decode()
    return text if len(text) <= limit else text[: limit - 1] + "…"
