"""Clients: how long they try again, and what their connections are made with."""

from __future__ import annotations

import copy
import time

import pytest
from redis.exceptions import AuthenticationError, ConnectionError, ReadOnlyError, ResponseError

from pipeline.connections.sync_clients import KEEP_ALIVE, Patience, connect


class Flaky:
    """Fails so many times before it succeeds."""

    def __init__(self, times: float, error: Exception) -> None:
        self.left, self.error, self.calls = times, error, 0

    def __call__(self) -> str:
        self.calls += 1
        if self.calls <= self.left:
            raise self.error
        return "done"


def call(patience: Patience, flaky: Flaky) -> str:
    return patience.call_with_retry(flaky, lambda _: None)


@pytest.mark.parametrize("error", [ConnectionError("gone"), TimeoutError("slow"), ReadOnlyError("demoted")])
def test_a_short_outage_is_waited_for(error):
    flaky = Flaky(3, error)
    assert call(Patience(5), flaky) == "done"
    assert flaky.calls == 4


def test_an_outage_that_lasts_is_told_after_the_patience_and_then_at_once():
    patience, started = Patience(0.3), time.monotonic()
    with pytest.raises(ConnectionError):
        call(patience, Flaky(1e9, ConnectionError("gone")))
    assert 0.3 <= time.monotonic() - started < 2
    flaky = Flaky(1e9, ConnectionError("gone"))
    with pytest.raises(ConnectionError):
        call(patience, flaky)
    assert flaky.calls == 2
    assert call(patience, Flaky(1, ConnectionError("a stale connection"))) == "done"
    flaky = Flaky(2, ConnectionError("gone again"))
    assert call(patience, flaky) == "done"  # it was there in between: the time counts anew


def test_nested_retries_do_not_multiply_the_time():
    patience, started = Patience(0.5), time.monotonic()
    inner = Flaky(1e9, ConnectionError("gone"))
    with pytest.raises(ConnectionError):
        patience.call_with_retry(lambda: call(patience, inner), lambda _: None)
    assert time.monotonic() - started < 2


def test_a_command_that_is_refused_for_ever_does_not_hold_for_ever_though_connecting_succeeds():
    patience, started = Patience(0.3), time.monotonic()

    def command() -> str:
        call(patience, Flaky(0, ConnectionError()))  # the connection is made
        raise ReadOnlyError("still a replica")

    with pytest.raises(ReadOnlyError):
        patience.call_with_retry(command, lambda _: None)
    assert time.monotonic() - started < 2


@pytest.mark.parametrize(
    "error", [AuthenticationError("wrong"), ResponseError("WRONGTYPE"), ValueError("ours")]
)
def test_what_would_be_answered_the_same_is_not_tried_again(error):
    flaky = Flaky(1e9, error)
    with pytest.raises(type(error)):
        call(Patience(5), flaky)
    assert flaky.calls == 1


def test_all_connections_of_a_client_wait_together():
    patience = Patience(1)
    assert copy.deepcopy(patience) is patience
    options = connect("redis://localhost/2", 7, 1).connection_pool.connection_kwargs
    assert options["socket_timeout"] == options["socket_connect_timeout"] == 7
    assert options["socket_keepalive_options"] == KEEP_ALIVE
    assert isinstance(options["retry"], Patience)


def test_what_a_url_says_of_its_connections_holds():
    options = connect(
        "redis://localhost/2?socket_timeout=3&client_name=me", 7, 1
    ).connection_pool.connection_kwargs
    assert (options["socket_timeout"], options["socket_connect_timeout"]) == (3, 7)
    assert options["client_name"] == "me"
