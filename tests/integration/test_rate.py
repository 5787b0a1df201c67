from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from pipeline.gate.rate_limiter import RateLimiter

CLOCK = "test clock"


@pytest.fixture
def limiter(redis_client):
    """A limiter whose time stands still; `pass_time` moves it."""
    redis_client.set(CLOCK, 1_000_000_000_000_000)
    return RateLimiter(redis_client, f"return tonumber(redis.call('GET', '{CLOCK}'))")


@pytest.fixture
def pass_time(redis_client):
    return lambda seconds: redis_client.incrby(CLOCK, round(seconds * 1e6))


def test_the_first_tokens_are_free_and_the_next_come_at_the_rate(limiter):
    waits = [limiter.reserve("source", 100) for _ in range(30)]
    assert waits[:10] == [0] * 10
    assert waits[10:] == pytest.approx([0.01 * n for n in range(1, 21)])


def test_a_slow_rate_gives_one_token_at_once(limiter):
    assert limiter.reserve("source", 1 / 60) == 0
    assert limiter.reserve("source", 1 / 60) == pytest.approx(60)


def test_tokens_come_back_with_time(limiter, pass_time):
    assert [limiter.reserve("source", 50) for _ in range(5)] == [0] * 5
    assert limiter.reserve("source", 50) == pytest.approx(0.02)
    pass_time(0.02)
    assert limiter.reserve("source", 50) == pytest.approx(0.02)
    pass_time(0.1)
    assert [limiter.reserve("source", 50) for _ in range(4)] == [0] * 4


def test_buckets_are_apart(limiter):
    assert limiter.reserve("a", 1) == 0
    assert limiter.reserve("b", 1) == 0


def test_a_bucket_goes_when_it_is_full(limiter, redis_client):
    for _ in range(20):
        limiter.reserve("source", 10)
    assert 1900 <= redis_client.pttl("rate:source") <= 3001


def test_many_threads_together_keep_the_rate(redis_client):
    limiter, rate, since = RateLimiter(redis_client), 200.0, time.monotonic()

    def call(_):
        time.sleep(limiter.reserve("source", rate))
        return time.monotonic() - since

    with ThreadPoolExecutor(8) as pool:
        calls = sorted(pool.map(call, range(100)))
    assert calls[-1] >= (100 - 20) / rate - 0.02
    assert calls[-1] < 3


def test_the_time_is_redis_own_unless_given(redis_client):
    RateLimiter(redis_client).reserve("source", 1 / 60)
    seconds, _ = redis_client.time()
    assert float(redis_client.get("rate:source")) / 1e6 == pytest.approx(seconds + 60, abs=30)


def test_the_script_survives_a_server_that_forgot_it(limiter, redis_client):
    limiter.reserve("source", 1)
    redis_client.script_flush()
    assert limiter.reserve("source", 1) > 0
