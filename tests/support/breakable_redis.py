"""A Redis of one's own that can be stopped, killed and started again, at the same address."""

from __future__ import annotations

import signal
import subprocess
from contextlib import suppress

from pipeline.local.embedded import EmbeddedRedis, redis_server_binary

STOP_LIMIT = 5.0  # seconds until a server that was asked to end is killed


class BreakableRedis(EmbeddedRedis):
    """An embedded Redis that breaks when it is told to."""

    @property
    def pid(self) -> int:
        """The process id of the server that runs."""
        return self._server.pid

    def start(self) -> None:
        """Start the server again, at the same address; does nothing when it runs."""
        if self._server.code is not None:
            self.kill()
            self._start(redis_server_binary())

    def stop(self) -> None:
        """End the server in good order: with `appendonly` nothing is lost."""
        self._server.send(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            self._server.process.wait(STOP_LIMIT)
        self.kill()

    def kill(self) -> None:
        """End the server at once, as a crash does."""
        self._processes.kill(-1)

    def restart(self) -> None:
        """Stop and start: connections break, and without `appendonly` the data is gone."""
        self.stop()
        self.start()
