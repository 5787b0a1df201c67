"""Runs the application under uvicorn."""

from __future__ import annotations

import asyncio
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from pipeline.web.settings import WebSettings

BACKLOG = 4096  # connections that the system holds until they are accepted


def protocol(seconds: float) -> type[HttpToolsProtocol]:
    """Make uvicorn's protocol with a limit: a client that does not send its headers within it is cut off."""

    class Patient(HttpToolsProtocol):
        _late: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._late = self.loop.call_later(seconds, transport.close)

        def on_headers_complete(self) -> None:
            if self._late is not None:
                self._late.cancel()
                self._late = None
            super().on_headers_complete()

        def connection_lost(self, exc: Exception | None) -> None:
            if self._late is not None:
                self._late.cancel()
            super().connection_lost(exc)

    return Patient


def make_server(app: ASGIApp, web: WebSettings) -> uvicorn.Server:
    """Make a server; `run()` answers until SIGTERM or SIGINT, and then ends what it has accepted."""
    config = uvicorn.Config(
        app,
        host=web.host,
        port=web.port,
        loop="uvloop",
        http=protocol(web.slow),
        ws="none",
        access_log=False,
        log_level="warning",
        backlog=BACKLOG,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=30,
        server_header=False,
        date_header=False,
    )
    return uvicorn.Server(config)
