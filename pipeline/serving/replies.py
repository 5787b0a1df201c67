"""What a worker tells producers: which messages it took, and answers; gathered, one entry a producer every few ms."""

from __future__ import annotations

import threading
import time
from collections import defaultdict, deque
from typing import Any

from redis import Redis
from redis.exceptions import RedisError

from pipeline.serving.names import replies_key
from pipeline.serving.wire import Answered, dump_replies
from pipeline.telemetry.logs import get_logger

PACE = 0.002  # seconds between two sendings at least
SHARE = 0.01  # of the time of a call that its answer may wait for others to travel with
SLOWEST = 0.015  # seconds that it waits at most
KEPT = 5_000  # entries of a reply stream at most; a producer reads them at once
TOGETHER = 0.01  # seconds that a message's receipt may wait for an answer to travel with
PAUSE = 0.2  # seconds until the next try, while Redis is gone

log = get_logger("pipeline.serving")


class Replier:
    """A thread that sends what others put. Answers to a producer that is gone are dropped."""

    def __init__(self, client: Redis, worker: str) -> None:
        self._client: Any = client
        self._worker = worker
        self._took: deque[tuple[str, str]] = deque()  # producer, message
        self._answers: deque[tuple[str, Answered]] = deque()
        self._some = threading.Event()
        self._pace = PACE
        self._ends = False
        self._thread = threading.Thread(target=self._run, name="replies", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def tune(self, seconds: float | None) -> None:
        """Follow the seconds that a call takes."""
        self._pace = max(PACE, min((seconds or 0.0) * SHARE, SLOWEST))

    def took(self, producer: str, message: str) -> None:
        """Report that this worker has a message."""
        self._took.append((producer, message))
        self._wake()

    def answer(self, producer: str, answer: Answered) -> None:
        """Queue an answer."""
        self._answers.append((producer, answer))
        self._wake()

    def close(self, seconds: float = 5.0) -> None:
        """Send what is left, and end."""
        self._ends = True
        self._some.set()
        if self._thread.is_alive():
            self._thread.join(seconds)

    def _wake(self) -> None:
        if not self._some.is_set():
            self._some.set()

    def _run(self) -> None:
        while not self._ends or self._took or self._answers:
            self._some.wait()
            self._some.clear()
            if not self._answers and not self._ends:
                self._some.wait(TOGETHER)
                self._some.clear()
            began = time.monotonic()
            self._send(self._gather())
            time.sleep(max(self._pace - (time.monotonic() - began), 0.0))

    def _gather(self) -> dict[str, tuple[list[str], list[Answered]]]:
        found: dict[str, tuple[list[str], list[Answered]]] = defaultdict(lambda: ([], []))
        for _ in range(len(self._took)):
            producer, message = self._took.popleft()
            found[producer][0].append(message)
        for _ in range(len(self._answers)):
            producer, answer = self._answers.popleft()
            found[producer][1].append(answer)
        return found

    def _send(self, found: dict[str, tuple[list[str], list[Answered]]]) -> None:
        """Send all; while Redis is gone try again, because an answer that comes twice does no harm."""
        entries = [(name, dump_replies(self._worker, *pair)) for name, pair in found.items()]
        while entries:
            try:
                with self._client.pipeline(transaction=False) as pipe:
                    for producer, data in entries:
                        pipe.execute_command(
                            "XADD", replies_key(producer), "NOMKSTREAM", "MAXLEN", "~", KEPT, "*", "r", data
                        )
                    pipe.execute()
                return
            except (RedisError, OSError) as error:
                log.warning("redis does not answer; answers are kept", error=str(error))
                time.sleep(PAUSE)
