"""Redis' time between two answers of Redis, and what a machine's own clock is ahead."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from pipeline.clock import HeardClock, RedisClock, skew

NOON = datetime(2026, 5, 1, 12, 30, 7, tzinfo=UTC)


class Server:
    """A Redis that says the time that a test wants, and counts how often it is asked."""

    def __init__(self, at: float = NOON.timestamp(), takes: float = 0.0) -> None:
        self.at, self.takes, self.asked, self.gone = at, takes, 0, False

    def __call__(self) -> tuple[int, int]:
        self.asked += 1
        time.sleep(self.takes)
        if self.gone:
            raise RedisConnectionError("gone")
        return int(self.at), round(self.at % 1 * 1e6)


def test_it_is_asked_once_in_a_while_and_counted_on_between():
    server = Server()
    clock = RedisClock(server, kept=60)
    assert clock.hour() == datetime(2026, 5, 1, 12, tzinfo=UTC)
    first = clock.time()
    time.sleep(0.02)
    assert 0.02 <= clock.time() - first < 5
    assert abs(clock.now() - NOON).total_seconds() < 5
    assert server.asked == 1


def test_what_was_heard_long_ago_is_asked_for_again():
    server = Server()
    clock = RedisClock(server, kept=0)
    clock.time()
    server.at += 3600
    assert clock.hour().hour == 13


def test_a_redis_that_does_not_answer_is_counted_on_for_and_an_error_only_where_it_never_has():
    server = Server()
    clock = RedisClock(server, kept=0.02)
    first = clock.time()
    server.gone = True
    time.sleep(0.03)
    assert 0.03 <= clock.time() - first < 5
    with pytest.raises(RedisConnectionError):
        clock.look()
    with pytest.raises(RedisConnectionError):
        RedisClock(server).time()


def test_a_look_is_what_redis_said_and_not_a_guess_beyond_it():
    assert RedisClock(Server(takes=0.05)).look() == NOON


def test_a_clock_that_is_told_takes_the_middle_of_question_and_answer():
    clock = HeardClock()
    assert abs(clock.time() - time.time()) < 1
    clock.heard(1000.0, time.monotonic() - 2.0)
    assert clock.time() == pytest.approx(1001.0, abs=0.5)


@pytest.mark.parametrize("ahead", [7200.0, -7200.0])
def test_a_machine_is_ahead_by_no_more_than_the_time_of_an_answer_proves(ahead):
    assert skew(Server(time.time() - ahead)) == pytest.approx(ahead, abs=1)
    assert skew(Server(time.time() + 0.1, takes=0.2)) == 0
