"""A plain process that runs what is measured apart from the one that submits waves.

It reads calls from its input, a JSON line each, and answers with a JSON line; it ends with its input.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Self

from redis import Redis

from tests.benchmarks import rivals, windows

CALLS: Mapping[str, Callable[..., Any]] = {
    "objects": rivals.objects,
    "objects_mget": rivals.objects_mget,
    "numbers": rivals.numbers,
    "threads": rivals.threads,
    "windows": windows.measure,
}


class Child:
    """The process, for as long as the `with` block lasts."""

    def __init__(self, url: str) -> None:
        self._url = url

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__, self._url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        return self

    def __exit__(self, *_: Any) -> None:
        self._process.communicate()

    def call(self, name: str, *args: Any) -> Any:
        """Call a function there. Raises RuntimeError when it failed; its traceback is on standard error."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([name, args]) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the plain process ended while it ran {name!r}; see above")
        return json.loads(line)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name not in CALLS:
            raise AttributeError(name)
        return partial(self.call, name)


def serve(url: str) -> None:
    """Answer calls until the input ends."""
    with Redis.from_url(url) as client:
        for line in sys.stdin:
            name, args = json.loads(line)
            print(json.dumps(CALLS[name](client, *args)), flush=True)


if __name__ == "__main__":
    serve(sys.argv[1])
