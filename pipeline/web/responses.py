"""What every error of the API looks like: a status, and {"error": what is wrong and what to do, "request_id": ...}."""

from __future__ import annotations

import math
from typing import Any

import orjson
from starlette.responses import Response

JSON = "application/json"


class HttpError(Exception):
    """An answer that is no success."""

    def __init__(self, status: int, text: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(text)
        self.status, self.text = status, text
        self.headers = headers or {}

    @classmethod
    def later(cls, status: int, text: str, seconds: float) -> HttpError:
        """Ask a client to try again after some seconds."""
        return cls(status, text, {"Retry-After": str(max(math.ceil(seconds), 1))})


def error_response(error: HttpError, request_id: str) -> Response:
    """Write an error."""
    body = orjson.dumps({"error": error.text, "request_id": request_id})
    return Response(body, error.status, headers=error.headers, media_type=JSON)


def json_response(value: Any, headers: dict[str, str] | None = None) -> Response:
    """Write a value as JSON."""
    return Response(orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY), headers=headers, media_type=JSON)
