"""Runs the application under uvicorn."""

from __future__ import annotations

import asyncio
import os
import signal
from types import FrameType
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from pipeline.web.settings import WebSettings

LEFT = "wave.left"  # in a request's scope: is called when its client goes away before it has the answer
WHOLE = "wave.whole"  # in a request's scope: its body has come whole
PROXIES = "FORWARDED_ALLOW_IPS"  # whose X-Forwarded-For and -Proto tell of the client, as uvicorn has it
BACKLOG = 4096  # connections that the system holds until they are accepted


def protocol(seconds: float) -> type[HttpToolsProtocol]:
    """Build uvicorn's protocol with a limit: a client that does not send its headers within it is cut off.

    It also tells at once of a client that goes away (LEFT) and of a body that has come (WHOLE), for what would
    otherwise cost each request a task or a timer of its own.
    """

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

        def on_message_complete(self) -> None:
            self.scope[WHOLE] = True  # type: ignore[literal-required]
            super().on_message_complete()

        def connection_lost(self, exc: Exception | None) -> None:
            if self._late is not None:
                self._late.cancel()
            if self.cycle is not None and not self.cycle.response_complete:
                self.cycle.scope.get(LEFT, lambda: None)()  # type: ignore[operator]
            super().connection_lost(exc)

    return Patient


class Server(uvicorn.Server):
    """Ends with exit code 0 when it is told to end; uvicorn would send itself the SIGTERM again."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to end, at SIGTERM or SIGINT."""
        if sig == signal.SIGTERM:
            self.should_exit = True
        else:
            super().handle_exit(sig, frame)


def make_server(app: ASGIApp, web: WebSettings) -> Server:
    """Build a server; `run()` answers until SIGTERM or SIGINT, and then ends what it has accepted."""
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
        proxy_headers=PROXIES in os.environ,
    )
    return Server(config)
