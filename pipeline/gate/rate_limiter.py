"""RateLimiter: a token bucket in Redis, so that more workers do not mean more traffic.

It is kept as one number a bucket: when the tokens that were taken so far will all be back (the generic cell
rate algorithm). Time is Redis' own.
"""

from __future__ import annotations

from typing import Any

from redis import Redis

BURST = 0.1  # seconds of tokens that a bucket holds: at most a tenth more than the rate in any one second
REDIS_TIME = "local time = redis.call('TIME'); return time[1] * 1000000 + time[2]"

# KEYS: bucket. ARGV: microseconds a token, microseconds of burst.
_RESERVE = """
local now = now_us()
local back = math.max(tonumber(redis.call('GET', KEYS[1]) or 0), now) + ARGV[1]
redis.call('SET', KEYS[1], string.format('%.0f', back), 'PX', math.ceil((back - now) / 1000) + 1000)
return math.ceil(math.max(0, back - now - ARGV[2]))
"""


class RateLimiter:
    """Hands out the tokens of any number of buckets, to all processes that share a Redis.

    `now` is Lua that returns the time in microseconds: Redis' own clock, unless a test wants another.
    """

    def __init__(self, client: Redis, now: str = REDIS_TIME) -> None:
        self._reserve: Any = client.register_script(f"local function now_us() {now} end\n{_RESERVE}")

    def reserve(self, name: str, rate: float) -> float:
        """Take a token of the bucket `name`, which is refilled at `rate` tokens a second.

        Returns the seconds to wait before it may be used.
        """
        interval = 1e6 / rate
        wait: int = self._reserve(keys=[f"rate:{name}"], args=[interval, max(interval, BURST * 1e6)])
        return wait / 1e6
