"""A load generator that is cheap enough to share the cores with what it measures: HTTP/1.1 by hand, open loop.

Requests leave when they are due, whatever became of the earlier ones, and times count from when they were due. Run as
a process of its own: it takes a plan as JSON on its input and writes what it saw as JSON.
"""

from __future__ import annotations

import asyncio
import json
import resource
import subprocess
import sys
import time
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import uvloop

TICK = 0.002  # seconds between two looks at what is due


@dataclass(frozen=True)
class Plan:
    """What to send."""

    port: int
    path: str
    body: str
    rates: Sequence[tuple[float, float]]  # (requests a second, seconds), one after the other
    headers: Sequence[tuple[str, str]] = ()
    connections: int = 0  # that are opened beforehand
    wait: float = 15.0  # seconds that answers may take after the last request


@dataclass
class Seen:
    """What came back."""

    sent: int
    statuses: dict[str, int]
    p50: float
    p90: float
    p99: float
    longest: float
    cpu: float  # seconds of the generator, from the first request on
    unanswered: int
    slices: list[dict[str, Any]] = field(default_factory=list)  # for each of the rates
    retry_after: int = 0  # refusals that say when to try again

    @property
    def good(self) -> int:
        """Answers with status 200."""
        return self.statuses.get("200", 0)

    @property
    def errors(self) -> int:
        """All that was no answer with status 200."""
        return self.sent - self.good


class Connection(asyncio.Protocol):
    """One connection; one request at a time."""

    def __init__(self, load: Load) -> None:
        self.load = load
        self.transport: Any = None
        self.due = 0.0
        self.slice = 0
        self.busy = False
        self.buffer = b""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        if self.busy:
            self.busy = False
            self.load.done(self, "lost")
        self.load.forget(self)

    def data_received(self, data: bytes) -> None:
        if self.buffer:
            data = self.buffer + data
        head = data.find(b"\r\n\r\n")
        if head < 0:
            self.buffer = data
            return
        at = data.find(b"content-length: ", 0, head)
        length = int(data[at + 16 : data.find(b"\r", at)])
        if len(data) < head + 4 + length:
            self.buffer = data
            return
        self.buffer = b""
        self.busy = False
        status = data[9:12].decode()
        if status != "200" and b"retry-after" in data[:head].lower():
            self.load.retry_after += 1
        self.load.done(self, status)


class Load:
    """One run."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        lines = [f"POST {plan.path} HTTP/1.1", "host: x", "content-type: application/json"]
        lines += [f"{name}: {value}" for name, value in plan.headers]
        lines += [f"content-length: {len(plan.body)}", "", plan.body]
        self.request = "\r\n".join(lines).encode()
        self.idle: deque[Connection] = deque()
        self.times: list[list[float]] = [[] for _ in plan.rates]
        self.statuses = [Counter[str]() for _ in plan.rates]
        self.sent = [0 for _ in plan.rates]
        self.open = 0
        self.retry_after = 0
        self.used = 0.0

    async def connect(self) -> Connection:
        _, made = await asyncio.get_running_loop().create_connection(
            lambda: Connection(self), "127.0.0.1", self.plan.port
        )
        return made

    def send(self, due: float, slice_: int) -> None:
        self.sent[slice_] += 1
        self.open += 1
        while self.idle:
            connection = self.idle.pop()
            if not connection.transport.is_closing():
                self.write(connection, due, slice_)
                return
        task = asyncio.get_running_loop().create_task(self.send_new(due, slice_))
        task.add_done_callback(lambda done: done.cancelled() or done.exception())

    async def send_new(self, due: float, slice_: int) -> None:
        try:
            connection = await self.connect()
        except OSError:
            self.open -= 1
            self.statuses[slice_]["not connected"] += 1
            return
        self.write(connection, due, slice_)

    def write(self, connection: Connection, due: float, slice_: int) -> None:
        connection.due, connection.slice, connection.busy = due, slice_, True
        connection.transport.write(self.request)

    def done(self, connection: Connection, status: str) -> None:
        self.open -= 1
        self.statuses[connection.slice][status] += 1
        if status == "200":
            self.times[connection.slice].append(time.perf_counter() - connection.due)
        if status != "lost":
            self.idle.append(connection)

    def forget(self, connection: Connection) -> None:
        if connection in self.idle:
            self.idle.remove(connection)

    async def run(self) -> Seen:
        for _ in range(self.plan.connections):
            self.idle.append(await self.connect())
        self.used = cpu()
        start = time.perf_counter()
        for number, (rate, seconds) in enumerate(self.plan.rates):
            total, sent = round(rate * seconds), 0
            while sent < total:
                now = time.perf_counter()
                while sent < total and start + sent / rate <= now:
                    self.send(start + sent / rate, number)
                    sent += 1
                await asyncio.sleep(TICK)
            start += seconds
        limit = time.perf_counter() + self.plan.wait
        while self.open and time.perf_counter() < limit:
            await asyncio.sleep(0.02)
        return self.seen()

    def seen(self) -> Seen:
        times = sorted(t for part in self.times for t in part)
        statuses = sum(self.statuses, Counter[str]())
        parts = [
            {
                "rate": rate,
                "seconds": seconds,
                "sent": sent,
                "statuses": dict(found),
                "p50": at(sorted(part), 0.5),
                "p99": at(sorted(part), 0.99),
                "longest": max(part, default=0.0),
            }
            for (rate, seconds), sent, found, part in zip(
                self.plan.rates, self.sent, self.statuses, self.times, strict=True
            )
        ]
        return Seen(
            sum(self.sent),
            dict(statuses),
            at(times, 0.5),
            at(times, 0.9),
            at(times, 0.99),
            max(times, default=0.0),
            cpu() - self.used,
            sum(self.sent) - sum(statuses.values()),
            parts,
            self.retry_after,
        )


def cpu() -> float:
    """Give the CPU seconds that this process has used."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def at(times: Sequence[float], q: float) -> float:
    """Give a quantile of sorted times."""
    return times[min(int(len(times) * q), len(times) - 1)] if times else 0.0


class Running:
    """A generator at work in a process of its own."""

    def __init__(self, plan: Plan) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(asdict(plan)))
        self._process.stdin.close()
        self._process.stdin = None

    def wait(self) -> Seen:
        """Give what it saw."""
        output, _ = self._process.communicate()
        return Seen(**json.loads(output))


def run(plan: Plan) -> Seen:
    """Run a plan in a process of its own."""
    return Running(plan).wait()


if __name__ == "__main__":
    chosen = Plan(**json.load(sys.stdin))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(json.dumps(asdict(runner.run(Load(chosen).run()))))
