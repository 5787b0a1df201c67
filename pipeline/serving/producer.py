"""The producer: puts requests on models' queues and gives back their answers, in one asyncio loop.

`ask` never accepts what cannot be answered in time: what waits before a request, here and at other producers, against
what the workers do in a second. An accepted request is answered once, whichever worker dies; a second answer is
dropped.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from pipeline.clock import HeardClock
from pipeline.serving.batcher import MOST, Lane, Waiting
from pipeline.serving.catalogue import Entry
from pipeline.serving.names import Place, catalogue_key
from pipeline.serving.reply_stream import ReplyStream
from pipeline.serving.status_board import (
    LEASE,
    POLL,
    POLL_SCRIPT,
    View,
    cancel_command,
    poll_args,
    view_of,
)
from pipeline.serving.wire import Answered, Asked, Batch, message
from pipeline.telemetry.logs import get_logger

LOSSES = 3  # workers that may die with one request
PACE = 0.005  # seconds between two messages to a model at least
_PAUSE = 0.2  # seconds until the next try, while Redis is gone

log = get_logger("pipeline.serving")


class Refused(Exception):
    """A request that is not accepted. `retry_after` in seconds."""

    def __init__(self, text: str, retry_after: float) -> None:
        super().__init__(text)
        self.retry_after = retry_after


class NotAnswered(Exception):
    """A request that was accepted and has no answer: its deadline is over, or it was with workers that died."""


class Producer:
    """All requests of one process. `version` is that of the code, `pace` the seconds between two messages."""

    def __init__(self, client: Redis, version: str, pace: float = PACE, lease: float = LEASE) -> None:
        self.id = uuid.uuid4().hex[:12]
        self._client: Any = client
        self._version, self._pace, self._lease = version, pace, lease
        self._poll: Any = client.register_script(POLL_SCRIPT)
        self._lanes: dict[str, Lane] = {}
        self._waiting: dict[str, Waiting] = {}
        self._replies = ReplyStream(client, self.id)
        self._clock = HeardClock()
        self._tasks: set[asyncio.Task[None]] = set()
        # By queue. One push at a time: a burst after a pause must not take all connections.
        self._leaving: dict[str, list[tuple[bytes, Sequence[Waiting]]]] = {}
        self._pushing: dict[str, asyncio.Lock] = {}
        self._count = 0
        self.views: dict[str, View] = {}
        self.reachable = False
        self.repeated = 0  # answers that came twice
        self.resent = 0  # requests that were asked again, because a worker died

    # -- its life

    async def start(self) -> None:
        """Begin to look and to read. Raises RedisError when Redis does not answer."""
        await self._look()
        self.reachable = True
        self._spawn(self._forever(self._look, POLL))
        self._spawn(self._forever(self._read, 0.0))

    async def close(self) -> None:
        """End; what waits is not answered."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for request in list(self._waiting.values()):
            self._fail(request, Refused("the API ends. Try again.", 1.0))
        with suppress(RedisError, OSError):
            await self._replies.remove()

    def _spawn(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _forever(self, do: Callable[[], Any], pause: float) -> None:
        while True:
            try:
                await do()
                self.reachable = True
                await asyncio.sleep(pause)
            except (RedisError, OSError) as error:
                self.reachable = False
                log.warning("redis does not answer", error=str(error))
                await asyncio.sleep(_PAUSE)
            except Exception:
                log.exception("a look at Redis went wrong")
                await asyncio.sleep(_PAUSE)

    # -- asking

    def ask(
        self,
        entry: Entry,
        version: str,
        pinned: bool,
        instances: list[Any],
        size: int = 0,
        shadow_of: str | None = None,
    ) -> Waiting:
        """Put a request on its model's queue; its `answer` is a future. Raises Refused.

        version   "" for the live one; `pinned`: no other may answer
        size      bytes that it takes in a message, roughly
        """
        lane = self._lane(entry.name)
        view = self.views.get(entry.name)
        if not self.reachable:
            raise Refused("Redis does not answer. Try again.", 1.0)
        if view is None or not (view.able(version or entry.live) if pinned else view.workers):
            if view is not None:
                lane.refused += len(instances)  # so that somebody may start one
            raise Refused(
                f"no worker serves {entry.name!r} now. Start one: wave serve-worker {entry.name}", 5.0
            )
        deadline = entry.options.deadline
        late = view.capacity.refuses(lane.waiting + view.others, len(instances), deadline)
        if late is not None:
            raise Refused(f"{entry.name!r} has more to do than it can answer in {deadline:g} s.", late)
        self._count += 1
        until = round((self._clock.time() + deadline) * 1000)
        loop = asyncio.get_running_loop()
        asked = Asked(f"{self.id}{self._count:x}", until, version, pinned, instances)
        request = Waiting(asked, lane.place, loop.create_future(), loop.time(), shadow_of, size)
        request.timer = loop.call_later(deadline, self._expire, request, deadline)
        self._waiting[asked.id] = request
        lane.waiting += len(instances)
        lane.put(request)
        return request

    def waiting(self, name: str) -> int:
        """Return the instances that wait for an answer of a model."""
        lane = self._lanes.get(name)
        return lane.waiting if lane else 0

    def free(self, name: str) -> bool:
        """Return whether a model has slots to spare, for what nobody waits for."""
        view, lane = self.views.get(name), self._lanes.get(name)
        waiting = (lane.waiting if lane else 0) + (view.others if view else 0)
        return view is not None and waiting < view.capacity.at_once * 0.8

    def cancel(self, request: Waiting) -> None:
        """Nobody waits for it any more: workers leave it out if they have not begun."""
        lane = self._forget(request)
        if lane is not None and not lane.drop(request.asked.id):
            lane.cancelled.append(request.asked.id)
        if not request.answer.done():
            request.answer.cancel()

    def _lane(self, name: str) -> Lane:
        found = self._lanes.get(name)
        if found is None:
            found = self._lanes[name] = Lane(
                Place(self._version, name), self._send, self._pace, least_pace=self._pace
            )
        return found

    def _forget(self, request: Waiting) -> Lane | None:
        """Stop waiting for it; return its lane, None where nobody waited."""
        if self._waiting.pop(request.asked.id, None) is None:
            return None
        if request.timer is not None:
            request.timer.cancel()
        lane = self._lanes[request.place.model]
        lane.waiting -= len(request.asked.instances)
        lane.inflight.done(request.asked.id)
        return lane

    def _expire(self, request: Waiting, deadline: float) -> None:
        lane = self._forget(request)
        if lane is not None:
            lane.drop(request.asked.id)
        if not request.answer.done():
            request.answer.set_exception(
                NotAnswered(f"{request.place.model!r} gave no answer within {deadline:g} s.")
            )

    def _fail(self, request: Waiting, error: Exception) -> None:
        self._forget(request)
        if not request.answer.done():
            request.answer.set_exception(error)

    # -- sending

    def _send(self, lane: Lane, requests: Sequence[Waiting]) -> None:
        batch = Batch(uuid.uuid4().hex, self.id, tuple(request.asked for request in requests))
        lane.inflight.add(batch.id, {request.asked.id: request for request in requests}, time.monotonic())
        leaving = self._leaving.setdefault(lane.place.queue, [])
        leaving.append((message(batch, lane.place.queue), requests))
        if len(leaving) == 1:
            self._spawn(self._push(lane.place.queue, leaving))

    async def _push(self, queue: str, leaving: Sequence[tuple[bytes, Sequence[Waiting]]]) -> None:
        """Push what has gathered for a queue: what comes while a push is under way leaves with the next one."""
        async with self._pushing.setdefault(queue, asyncio.Lock()):
            del self._leaving[queue]
            try:
                await self._client.execute_command("LPUSH", queue, *(data for data, _ in leaving))
            except (RedisError, OSError) as error:
                self.reachable = False
                for request in (one for _, requests in leaving for one in requests):
                    self._fail(request, Refused(f"Redis does not answer ({error}). Try again.", 1.0))

    # -- looking

    async def _look(self) -> None:
        """Look at all models: who is there, what waits; ask again for what is lost."""
        await self._replies.keep()
        entries = {
            name.decode(): Entry.parse(raw)
            for name, raw in (await self._client.hgetall(catalogue_key(self._version))).items()
        }
        self.views = {name: view for name, view in self.views.items() if name in entries}
        for name, entry in entries.items():
            lane, asked = self._lane(name), time.monotonic()
            refused, lane.refused = lane.refused, 0
            keys, args = poll_args(lane.place, self.id, lane.waiting, self._lease, refused)
            view = view_of(entry, await self._poll(keys=keys, args=args))
            self._clock.heard(view.now_ms / 1000, asked)
            self.views[name] = view
            if not view.queued:
                lane.inflight.empty_queue(asked)
            self._ask_again(lane, lane.inflight.lost(view.workers, time.monotonic()))
            lane.tune(view.capacity.seconds, _message_size(view), max(len(view.workers), 1))
            if lane.cancelled:
                told, lane.cancelled = lane.cancelled, []
                await self._client.execute_command(*cancel_command(lane.place, told))

    def _ask_again(self, lane: Lane, lost: Sequence[Waiting]) -> None:
        for request in lost:
            request.losses += 1
            if request.losses >= LOSSES:
                self._fail(request, NotAnswered(f"{LOSSES} workers ended while they had this request."))
            else:
                self.resent += 1
                lane.put(request)

    # -- reading answers

    async def _read(self) -> None:
        async for replies in self._replies.read():
            now = time.monotonic()
            for lane in self._lanes.values():
                for batch in replies.took:
                    lane.inflight.took(batch, replies.worker, now)
                lane.taken()
            for answer in replies.answers:
                self._answered(answer)

    def _answered(self, answer: Answered) -> None:
        request = self._waiting.get(answer.id)
        if request is None:
            self.repeated += 1
            return
        self._forget(request)
        if not request.answer.done():
            request.answer.set_result(answer)


def _message_size(view: View) -> int:
    """Requests in one message: few where workers have few slots, so that they share the work evenly."""
    smallest = min((w.slots * view.entry.options.batch for w in view.workers.values()), default=MOST)
    return max(1, min(MOST, smallest // 4))
