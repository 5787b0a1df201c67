"""RateLimiter: a token bucket in Redis, so that more workers do not mean more traffic.

It is kept as one number a bucket: when the tokens that were taken so far will all be back (the generic cell
rate algorithm). Time is Redis' own.
"""

from __future__ import annotations

from typing import Any

from redis import Redis

BURST = 0.1  # seconds of tokens that a bucket holds: at most a tenth more than the rate in any one second
REDIS_TIME = "local time = redis.call('TIME'); return time[1] * 1000000 + time[2]"

# KEYS: bucket. ARGV: microseconds a token, tokens, microseconds of burst, longest wait or -1.
_RESERVE = """
local now = now_us()
local taken = tonumber(redis.call('GET', KEYS[1]) or 0)
local back = math.max(taken, now) + ARGV[1] * ARGV[2]
local wait = math.max(0, back - now - ARGV[3])
local limit = tonumber(ARGV[4])
if limit >= 0 and wait > limit then return -1 end
redis.call('SET', KEYS[1], string.format('%.0f', back), 'PX', math.ceil((back - now) / 1000) + 1000)
return math.ceil(wait)
"""


class RateLimiter:
    """Hands out the tokens of any number of buckets, to all processes that share a Redis.

    `now` is Lua that returns the time in microseconds: Redis' own clock, unless a test wants another.
    """

    def __init__(self, client: Redis, now: str = REDIS_TIME) -> None:
        self._reserve: Any = client.register_script(f"local function now_us() {now} end\n{_RESERVE}")

    def reserve(self, name: str, rate: float, n: int = 1, limit: float | None = None) -> float | None:
        """Take `n` tokens of the bucket `name`, which is refilled at `rate` tokens a second.

        Gives the seconds to wait before they may be used; they are taken either way. With `limit`, None is
        given and nothing taken when that would be more than `limit` seconds.
        """
        interval = 1e6 / rate
        burst = max(interval, BURST * 1e6)
        longest = -1 if limit is None else limit * 1e6
        wait: int = self._reserve(keys=[f"rate:{name}"], args=[interval, n, burst, longest])
        return None if wait < 0 else wait / 1e6
