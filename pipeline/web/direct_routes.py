"""Routes that are asked by the hundred a second: listed in OpenAPI like others, and called without more ado."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send


class PlainRoute(APIRoute):
    """A route whose function takes the request and gives a response; nothing is parsed or checked before it."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the function itself."""
        handler: Callable[[Request], Coroutine[Any, Any, Response]] = self.endpoint
        return handler


class Direct:
    """ASGI: sends requests of such routes past FastAPI's own layers, which cost more than all the rest of a request.

    routes   the routes whose paths end with `suffix`; `suffix` keeps all other requests from being matched twice
    """

    def __init__(self, app: ASGIApp, api: FastAPI, routes: Sequence[PlainRoute], suffix: str) -> None:
        self._app, self._api, self._suffix = app, api, suffix
        self._routes = [(route, route.path_regex, frozenset(route.methods or ())) for route in routes]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "http" and scope["path"].endswith(self._suffix):
            for route, pattern, methods in self._routes:
                match = pattern.match(scope["path"])
                if match is not None and scope["method"] in methods:
                    scope.update(app=self._api, route=route, path_params=match.groupdict())
                    response = await route.endpoint(Request(scope, receive, send))
                    await response(scope, receive, send)
                    return
        await self._app(scope, receive, send)
