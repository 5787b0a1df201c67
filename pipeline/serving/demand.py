"""Work before the workers of a model, also while none is there.

The queue says little of it: its messages hold requests of any number of instances, and where no worker is there,
requests are refused and reach no queue. So it is counted in instances, by what producers say, times what one took.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson
from redis import Redis

from pipeline.serving.names import Place

REFUSED_MS = 30_000  # for which requests that were refused for want of a worker count as demand
COST_MS = 90 * 86_400_000  # for which what an instance cost is remembered, with or without workers
UNMEASURED = 0.1  # seconds of one slot that an instance is taken to cost before any was measured

# KEYS: load, refused, cost, beats, workers. ARGV: ms for which what a producer said counts, and what a worker said.
_SCRIPT = """
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local waiting, flat = 0, redis.call('HGETALL', KEYS[1])
for i = 1, #flat, 2 do
  local count, at = string.match(flat[i + 1], '^(%d+) (%d+)$')
  if count and now - at <= tonumber(ARGV[1]) then waiting = waiting + count end
end
local states = {}
for i, worker in ipairs(redis.call('ZRANGEBYSCORE', KEYS[4], now - ARGV[2], '+inf')) do
  states[i] = redis.call('HGET', KEYS[5], worker) or ''
end
return {waiting, redis.call('GET', KEYS[2]) or '0', redis.call('GET', KEYS[3]) or '', states}
"""
_SAID_MS, _ALIVE_MS = 3_000, 2_000
_BUSY = 4  # where a worker's state tells of its busy slots; see board.WorkerState


@dataclass(frozen=True, slots=True)
class Demand:
    """What lies before a model's workers."""

    seconds: float  # of one slot: instances that wait or run, and those refused for want of a worker
    busy: int  # slots that call the model now


def demand(client: Redis, place: Place) -> Demand:
    """Measure it."""
    found: Any = client
    keys = [place.key(part) for part in ("load", "refused", "cost", "beats", "workers")]
    waiting, refused, cost, states = found.eval(_SCRIPT, len(keys), *keys, _SAID_MS, _ALIVE_MS)
    seconds = (int(waiting) + int(refused)) * (float(cost) if cost else UNMEASURED)
    return Demand(seconds, sum(orjson.loads(state)[_BUSY] for state in states if state))
