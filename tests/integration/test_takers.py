"""A wave that waits for workers, or for a free slot of theirs, says so."""

from __future__ import annotations

import orjson
import pytest

from pipeline.messaging.lost_messages import HELD
from pipeline.waves.presence import WORKER, Presence, Process

HOUR = ["held", "--date", "2013-06-25T13"]
NONE = "no worker takes from try-1.collect. Start one: wave up --version try-1, or a worker with -Q try-1.collect."


@pytest.fixture
def waiting(wave):
    """The command, with a wave of version try-1 that nobody runs, and what its submission warned of."""
    wave("state", "add", "routes", "JFK-LAX", "origin=JFK")
    return wave, wave("submit", *HOUR, "--version", "try-1").stderr


def test_a_submission_warns_of_queues_that_no_worker_takes_from(waiting):
    wave, warned = waiting
    assert warned == f"wave: {NONE}\n"
    assert f"\n  waits         {NONE}\n" in wave("show", "try-1/held").stdout


def test_a_wave_whose_workers_are_all_busy_says_so_until_it_has_ended(waiting, redis_client):
    wave, _ = waiting
    Presence(redis_client, Process(WORKER, "try-1", "host", 1, ("try-1.collect",), 1)).tell()
    assert "waits" not in wave("show", "try-1/held").stdout
    redis_client.hset(HELD, "tag", orjson.dumps([{}, "", "try-1.collect"]))
    said = wave("show", "try-1/held").stdout
    assert (
        "  waits         all slots (1) of the workers of try-1.collect are busy; messages that wait there: 1\n"
        in said
    )
    wave("cancel", "try-1/held")
    assert "waits" not in wave("show", "try-1/held").stdout
