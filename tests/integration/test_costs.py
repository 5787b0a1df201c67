"""What tasks cost is learned from the waves that have ended."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from pipeline.flows.plan import compile_flow
from pipeline.gate.keys import wave_key
from pipeline.gate.records import Records
from pipeline.gate.wave_spec import WaveSpec
from pipeline.waves.task_costs import learn_costs, read_costs
from tests.support.graphs import flow_of

PLAN = compile_flow(flow_of({"a": (), "b": ("a",), "model": ("b",)}, {"model": "wave"}))


@pytest.fixture
def learn(redis_client):
    """Learn from a wave of so many entities, each of which took so many seconds."""
    records = Records(redis_client)

    def run(entities, seconds):
        wave_id = f"main/f {redis_client.incr('waves of this test')}"
        counts = {
            f"{task} {field}": value
            for task in PLAN.steps
            for field, value in {"B": entities - 1, "D": 1, "us": int(entities * seconds * 1e6)}.items()
        }
        redis_client.hset(f"{wave_key(wave_id)} counts", mapping=counts)
        date = datetime(2013, 6, 25, 13, tzinfo=UTC)
        learn_costs(records, WaveSpec(wave_id, "main", None, date, None, PLAN, ("all",), (entities,), 0.0))
        return read_costs(redis_client, "main", PLAN.flow)

    return run


def test_nothing_is_known_before_the_first_wave(redis_client):
    assert read_costs(redis_client, "main", PLAN.flow) == {}


def test_the_cost_of_an_entity_is_what_it_took_in_earlier_waves(learn):
    assert learn(100, 0.05) == {"a": pytest.approx(0.05), "b": pytest.approx(0.05)}


def test_a_task_that_becomes_dearer_is_known_as_dear_after_some_waves(learn):
    learn(100, 0.05)
    costs = [learn(100, 0.1)["a"] for _ in range(8)]
    assert costs == sorted(costs)
    assert 0.06 < costs[0] < 0.1
    assert costs[-1] == pytest.approx(0.1, rel=0.05)


def test_waves_of_one_entity_tell_little_beside_one_of_many(learn):
    learn(10_000, 0.00001)
    assert [learn(1, 0.005)["a"] for _ in range(3)][-1] < 0.00002
