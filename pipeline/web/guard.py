"""What every request passes before any route sees it: an id, a token, the rate, and a whole body of bounded size."""

from __future__ import annotations

import asyncio
import re
import time
import uuid
from itertools import count
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipeline.telemetry.logs import get_logger
from pipeline.web.metrics import Metrics
from pipeline.web.rate_limit import RateLimit
from pipeline.web.responses import HttpError, error_response
from pipeline.web.server import WHOLE
from pipeline.web.settings import WebSettings
from pipeline.web.trust import OWNER

OPEN = frozenset({"/healthz", "/readyz"})  # asked by those who have no token: load balancers
BODY = "wave.body"  # the name of a request's body in its scope
REQUEST_ID = "wave.request_id"
BASIC = 'Basic realm="celery-waves: any name, and a token as password"'
_ID = re.compile(rb"[A-Za-z0-9._:-]{1,128}\Z")

log = get_logger("pipeline.web")


class Guard:
    """ASGI middleware. What goes wrong below it is logged, and answered without its inner parts."""

    def __init__(self, app: ASGIApp, settings: WebSettings, metrics: Metrics) -> None:
        self._app, self._settings, self._metrics = app, settings, metrics
        self._limit = RateLimit(settings.rate)
        self._prefix, self._numbers = uuid.uuid4().hex[:12], count(1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        headers: dict[bytes, bytes] = dict(scope["headers"])
        request_id = self._id(headers.get(b"x-request-id"))
        scope[REQUEST_ID] = request_id
        status = 0

        async def tell(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"].append((b"x-request-id", request_id.encode()))
            await send(message)

        try:
            self._admit(scope, headers)
            scope[BODY] = body = await self._body(scope, headers, receive)
            await self._app(scope, _replay(body, receive), tell)
        except HttpError as error:
            await error_response(error, request_id)(scope, receive, tell)
        except Exception:
            log.exception("a request failed", path=scope["path"], request_id=request_id)
            if not status:
                fault = HttpError(500, "the API failed; its log tells more, under this request_id.")
                await error_response(fault, request_id)(scope, receive, tell)
        finally:
            route = getattr(scope.get("route"), "path", "")
            self._metrics.request(scope["method"], route, status, time.perf_counter() - began)

    def _id(self, given: bytes | None) -> str:
        if given is not None and _ID.match(given):
            return given.decode()
        return f"{self._prefix}-{next(self._numbers)}"

    def _admit(self, scope: Scope, headers: dict[bytes, bytes]) -> None:
        """Check the token and the rate. Raises HttpError."""
        if scope["path"] in OPEN:
            return
        tokens = self._settings.tokens
        owner = None
        if tokens:
            owner = tokens.owner(headers.get(b"authorization"))
            if owner is None:
                said = "is not known here" if b"authorization" in headers else "is missing"
                raise HttpError(
                    401,
                    f"the token {said}. Send the header `Authorization: Bearer TOKEN`.",
                    {"WWW-Authenticate": BASIC if b"text/html" in headers.get(b"accept", b"") else "Bearer"},
                )
        scope[OWNER] = owner
        wait = self._limit.wait(owner or str((scope.get("client") or ("",))[0]))
        if wait:
            raise HttpError.later(
                429, f"more than {self._settings.rate:g} requests a second. Send fewer.", wait
            )

    async def _body(self, scope: Scope, headers: dict[bytes, bytes], receive: Receive) -> bytes:
        """Read the body whole. Raises HttpError for one that is too large or too slow."""
        length = headers.get(b"content-length")
        if length is None and b"transfer-encoding" not in headers:
            return b""
        if length is not None and length.isdigit() and int(length) > self._settings.body:
            raise self._oversized()
        if WHOLE in scope:
            return await self._read(receive)
        try:
            async with asyncio.timeout(self._settings.slow):
                return await self._read(receive)
        except TimeoutError:
            raise HttpError(
                408,
                f"the body did not come within {self._settings.slow:g} s. Send it at once.",
                {"Connection": "close"},
            ) from None

    async def _read(self, receive: Receive) -> bytes:
        body: bytes = b""
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise HttpError(499, "the client went away.")
            body += message.get("body", b"")
            if len(body) > self._settings.body:
                raise self._oversized()
            if not message.get("more_body"):
                return body

    def _oversized(self) -> HttpError:
        text = f"the body is larger than {self._settings.body:,} bytes. Send fewer instances a request."
        return HttpError(413, text, {"Connection": "close"})


def _replay(body: bytes, receive: Receive) -> Receive:
    """Wrap `receive` so that it returns a body that was read already, then what comes after it."""
    given = False

    async def next_message() -> Any:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return next_message
