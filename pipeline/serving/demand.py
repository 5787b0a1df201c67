"""Work before the workers of a model, also while none is there.

The queue says little of it: its messages hold requests of any number of instances, and where no worker is there,
requests are refused and reach no queue. So it is counted in instances, by what producers say, times what one took.
"""

from __future__ import annotations

from typing import Any

from redis import Redis

from pipeline.serving.names import Place

REFUSED_MS = 30_000  # for which requests that were refused for want of a worker count as demand
COST_MS = 90 * 86_400_000  # for which what an instance cost is remembered, with or without workers
UNMEASURED = 0.1  # seconds of one slot that an instance is taken to cost before any was measured

# KEYS: load, refused, cost. ARGV: ms for which what a producer said counts.
_SCRIPT = """
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local waiting, flat = 0, redis.call('HGETALL', KEYS[1])
for i = 1, #flat, 2 do
  local count, at = string.match(flat[i + 1], '^(%d+) (%d+)$')
  if count and now - at <= tonumber(ARGV[1]) then waiting = waiting + count end
end
return {waiting, redis.call('GET', KEYS[2]) or '0', redis.call('GET', KEYS[3]) or ''}
"""
_SAID_MS = 3_000


def seconds(client: Redis, place: Place) -> float:
    """Give the work of one slot, in seconds: instances that wait or run, and those refused for want of a worker."""
    found: Any = client
    keys = [place.key("load"), place.key("refused"), place.key("cost")]
    waiting, refused, cost = found.eval(_SCRIPT, len(keys), *keys, _SAID_MS)
    return (int(waiting) + int(refused)) * (float(cost) if cost else UNMEASURED)
