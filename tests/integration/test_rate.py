from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from pipeline.gate.rate_limiter import RateLimiter


@pytest.fixture
def limiter(redis_client):
    return RateLimiter(redis_client)


def test_the_first_tokens_are_free_and_the_next_come_at_the_rate(limiter):
    waits = [limiter.reserve("source", 100) for _ in range(30)]
    assert waits[:10] == [0] * 10
    assert waits[10] > 0
    assert waits == sorted(waits)
    assert waits[-1] == pytest.approx(0.2, abs=0.1)


def test_a_slow_rate_gives_one_token_at_once(limiter):
    assert limiter.reserve("source", 1 / 60) == 0
    assert limiter.reserve("source", 1 / 60) == pytest.approx(60, abs=1)


def test_tokens_come_back_with_time(limiter):
    assert limiter.reserve("source", 50, n=5) == 0
    wait = limiter.reserve("source", 50)
    assert 0 < wait <= 0.02
    time.sleep(wait)
    assert limiter.reserve("source", 50) == pytest.approx(0.02, abs=0.02)


def test_many_tokens_wait_until_all_are_there(limiter):
    assert limiter.reserve("source", 100, n=110) == pytest.approx(1, abs=0.05)


def test_buckets_are_apart(limiter):
    assert limiter.reserve("a", 1) == 0
    assert limiter.reserve("b", 1) == 0


def test_beyond_the_limit_nothing_is_taken(limiter):
    assert limiter.reserve("source", 10) == 0
    assert limiter.reserve("source", 10, n=100, limit=1.0) is None
    assert limiter.reserve("source", 10, n=5, limit=1.0) == pytest.approx(0.5, abs=0.1)


def test_a_bucket_goes_when_it_is_full(limiter, redis_client):
    limiter.reserve("source", 10, n=20)
    assert 2000 <= redis_client.pttl("rate:source") <= 3001


def test_many_threads_together_keep_the_rate(redis_client):
    limiter, rate, since = RateLimiter(redis_client), 200.0, time.monotonic()

    def call(_):
        time.sleep(limiter.reserve("source", rate))
        return time.monotonic() - since

    with ThreadPoolExecutor(8) as pool:
        calls = sorted(pool.map(call, range(100)))
    assert calls[-1] >= (100 - 20) / rate - 0.02
    assert calls[-1] < 3


def test_the_script_survives_a_server_that_forgot_it(limiter, redis_client):
    limiter.reserve("source", 1)
    redis_client.script_flush()
    assert limiter.reserve("source", 1) > 0
