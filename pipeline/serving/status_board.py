"""The board: workers and producers of a model say there what they do, and read what the others said.

Two scripts on Redis, by its clock. A worker that gives no sign for `lease` seconds is taken for dead: what it had is
asked of another one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import orjson
from redis import Redis

from pipeline.forms import FORM
from pipeline.serving.admission import Capacity, together
from pipeline.serving.catalogue import Entry
from pipeline.serving.demand import COST_MS, REFUSED_MS
from pipeline.serving.names import Place, catalogue_key

BEAT = 0.5  # seconds between two signs of a worker
POLL = 0.25  # seconds between two looks of a producer
LEASE = 2.0  # seconds without a sign after which a worker is taken for dead
_FORGET_MS = 600_000  # after which what a dead worker said is dropped
_LOAD_MS = 3_000  # for which what a producer said counts
_KEPT = 10_000  # cancelled requests that are remembered

_NOW = "local t = redis.call('TIME'); local now = t[1] * 1000 + math.floor(t[2] / 1000)\n"

# KEYS: workers, beats, catalogue, cost.
# ARGV: worker, state, model, forget ms, seconds that an instance takes or "", ms that this is kept.
BEAT_SCRIPT = (
    _NOW
    + """
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('ZADD', KEYS[2], now, ARGV[1])
for _, gone in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now - ARGV[4])) do
  redis.call('HDEL', KEYS[1], gone)
  redis.call('ZREM', KEYS[2], gone)
end
redis.call('PEXPIRE', KEYS[1], ARGV[4])
redis.call('PEXPIRE', KEYS[2], ARGV[4])
if ARGV[5] ~= '' then redis.call('SET', KEYS[4], ARGV[5], 'PX', ARGV[6]) end
return {now, redis.call('HGET', KEYS[3], ARGV[3]) or ''}
"""
)

# KEYS: workers, beats, load, queue, refused.
# ARGV: producer, instances that wait, lease ms, load ms, instances that were refused since, ms for which those count.
POLL_SCRIPT = (
    _NOW
    + """
if tonumber(ARGV[2]) > 0 then redis.call('HSET', KEYS[3], ARGV[1], ARGV[2] .. ' ' .. string.format('%.0f', now))
else redis.call('HDEL', KEYS[3], ARGV[1]) end
if tonumber(ARGV[5]) > 0 and redis.call('INCRBY', KEYS[5], ARGV[5]) == tonumber(ARGV[5]) then
  redis.call('PEXPIRE', KEYS[5], ARGV[6])
end
local others, flat = 0, redis.call('HGETALL', KEYS[3])
for i = 1, #flat, 2 do
  local waiting, at = string.match(flat[i + 1], '^(%d+) (%d+)$')
  if now - at > tonumber(ARGV[4]) then redis.call('HDEL', KEYS[3], flat[i])
  elseif flat[i] ~= ARGV[1] then others = others + waiting end
end
local alive = redis.call('ZRANGEBYSCORE', KEYS[2], now - ARGV[3], '+inf')
local states = {}
for i, worker in ipairs(alive) do states[i] = redis.call('HGET', KEYS[1], worker) or '{}' end
return {now, redis.call('LLEN', KEYS[4]), others, alive, states}
"""
)


@dataclass(frozen=True, slots=True)
class WorkerState:
    """What a worker says of itself."""

    worker: str
    host: str
    pid: int
    slots: int
    busy: int
    per_call: float  # instances that a call takes, of late
    seconds: float | None  # that a call takes, of late
    versions: Mapping[str, str]  # version -> "ready", "loading", or why it cannot be loaded

    def dump(self) -> bytes:
        """Return what `parse` reads."""
        return orjson.dumps([*(getattr(self, name) for name in self.__slots__), FORM])

    @classmethod
    def parse(cls, data: bytes) -> WorkerState:
        """Read what `dump` gave."""
        return cls(*orjson.loads(data)[: len(cls.__slots__)])


@dataclass(frozen=True)
class View:
    """What a producer sees of a model."""

    entry: Entry
    workers: Mapping[str, WorkerState]
    queued: int = 0  # messages on the queue
    others: int = 0  # instances that wait at other producers
    now_ms: int = 0

    @cached_property
    def capacity(self) -> Capacity:
        """What the workers that can answer do together."""
        able = [worker for worker in self.workers.values() if "ready" in worker.versions.values()]
        return together([(worker.slots, worker.per_call, worker.seconds) for worker in able])

    def able(self, version: str | None) -> list[WorkerState]:
        """Return the workers that hold a version."""
        return [worker for worker in self.workers.values() if worker.versions.get(version or "") == "ready"]

    def held(self, version: str) -> bool:
        """Return whether every worker holds a version, so that traffic may be given to it."""
        return bool(self.workers) and len(self.able(version)) == len(self.workers)


class Beats:
    """The signs of one worker."""

    def __init__(self, client: Redis, place: Place, worker: str) -> None:
        self._client: Any = client
        self._script: Any = client.register_script(BEAT_SCRIPT)
        self._place, self._worker = place, worker
        self._last = b"$"  # of the cancelled requests that were read

    def tell(self, state: WorkerState) -> tuple[int, Entry | None]:
        """Report a sign of life; return Redis' time in ms and the catalogue's entry, None where it was removed."""
        place = self._place
        keys = [place.key("workers"), place.key("beats"), catalogue_key(place.version), place.key("cost")]
        cost = "" if state.seconds is None else f"{state.seconds / max(state.per_call, 1.0):.9f}"
        args = [self._worker, state.dump(), place.model, _FORGET_MS, cost, COST_MS]
        now, raw = self._script(keys=keys, args=args)
        return int(now), Entry.parse(raw) if raw else None

    def cancelled(self) -> list[str]:
        """Return the requests that were cancelled since the last call."""
        key = self._place.key("cancelled")
        if self._last == b"$":
            newest = self._client.xrevrange(key, count=1)
            self._last = newest[0][0] if newest else b"0-0"
            return []
        entries = self._client.xrange(key, min=b"(" + self._last, count=1000)
        if entries:
            self._last = entries[-1][0]
        return [name for _, fields in entries for name in orjson.loads(fields[b"i"])]

    def leave(self) -> None:
        """Report that the worker ends."""
        with self._client.pipeline(transaction=False) as pipe:
            pipe.zrem(self._place.key("beats"), self._worker)
            pipe.hdel(self._place.key("workers"), self._worker)
            pipe.execute()


def poll_args(
    place: Place, producer: str, waiting: int, lease: float, refused: int = 0
) -> tuple[list[str], list[Any]]:
    """Return the keys and the arguments of a producer's look."""
    keys = [place.key("workers"), place.key("beats"), place.key("load"), place.queue, place.key("refused")]
    return keys, [producer, waiting, round(lease * 1000), _LOAD_MS, refused, REFUSED_MS]


def view_of(entry: Entry, answer: Sequence[Any]) -> View:
    """Read the answer to a producer's look."""
    now, queued, others, alive, states = answer
    workers = {
        name.decode(): WorkerState.parse(state)
        for name, state in zip(alive, states, strict=True)
        if state != b"{}"
    }
    return View(entry, workers, int(queued), int(others), int(now))


def look(client: Redis, version: str) -> dict[str, View]:
    """Look at every model that is served, as a person does: nothing is written but what is old is dropped."""
    found: Any = client
    script: Any = found.register_script(POLL_SCRIPT)
    views = {}
    for name, raw in sorted(found.hgetall(catalogue_key(version)).items()):
        keys, args = poll_args(Place(version, name.decode()), "-", 0, LEASE)
        views[name.decode()] = view_of(Entry.parse(raw), script(keys=keys, args=args))
    return views


def cancel_command(place: Place, ids: Sequence[str]) -> tuple[Any, ...]:
    """Return the command that tells workers of cancelled requests."""
    return ("XADD", place.key("cancelled"), "MAXLEN", "~", _KEPT, "*", "i", orjson.dumps(ids))
