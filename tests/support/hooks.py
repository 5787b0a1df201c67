"""A webhook that keeps what it gets, for as long as a `with` block lasts."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Hook:
    """What it got, and how it answers."""

    url: str = ""
    bodies: list[dict[str, Any]] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)  # statuses of the next answers; then 200
    delay: float = 0.0  # seconds before each answer

    def told(self) -> list[tuple[str, str, str]]:
        """Give status, what and about of each alert that it was told."""
        return [(a["status"], a["what"], a["about"]) for body in self.bodies for a in body["alerts"]]


@contextmanager
def hook() -> Iterator[Hook]:
    """Serve one on this machine."""
    found = Hook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            status = found.answers.pop(0) if found.answers else 200
            if status < 300:
                found.bodies.append(body)
            time.sleep(found.delay)
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        found.url = f"http://127.0.0.1:{server.server_port}/T0/secret"
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield found
        server.shutdown()
