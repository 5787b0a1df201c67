"""The ECS agent's endpoint for a task's protection: keeps what it was asked, and answers as it is told."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

ARN = "arn:aws:ecs:eu-west-1:123456789012:task/waves/0123456789abcdef"
GRANTED = (
    200,
    {"protection": {"ProtectionEnabled": True, "ExpirationDate": "2026-01-01T00:00:00Z", "TaskArn": ARN}},
)


class FakeAgent:
    """The agent's endpoint: keeps what it was asked, and answers as it is told."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.answer: tuple[int, Any] = GRANTED
        asked, outer = self.asked, self

        class Handler(BaseHTTPRequestHandler):
            def do_PUT(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                asked.append((self.path, json.loads(body)))
                status, found = outer.answer
                data = found if isinstance(found, bytes) else json.dumps(found).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/api/container-1"

    @property
    def enabled(self) -> list[bool]:
        return [body["ProtectionEnabled"] for _, body in self.asked]


@contextmanager
def agent_running() -> Iterator[FakeAgent]:
    """An agent that answers until the block ends."""
    found = FakeAgent()
    thread = threading.Thread(target=found.server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield found
    finally:
        found.server.shutdown()
        found.server.server_close()
        thread.join()
