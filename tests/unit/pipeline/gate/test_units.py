"""Units: what waits for what, at which place."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings

from pipeline.gate.units import ALL, Unit
from tests.support.graphs import flow_of, spec_of, waves

FEW = settings(deadline=None, max_examples=100)


@pytest.fixture
def units():
    """a, b for each entity; model a partition; total for the wave; c and report after these."""
    flow = flow_of(
        {
            "a": (),
            "b": ("a",),
            "model": ("a", "b"),
            "total": ("model",),
            "c": ("b", "model", "total"),
            "note": ("total",),
        },
        {"model": "partition", "total": "wave", "note": "partition"},
    )
    return spec_of(flow, ("JFK", "LGA", "JFK")).units


def test_a_task_runs_at_its_shards_partitions_or_the_wave(units):
    assert units.places("a") == ("0", "1", "2")
    assert units.places("model") == ("@JFK", "@LGA")
    assert units.places("total") == (ALL,)
    assert len(units) == 3 + 3 + 2 + 1 + 3 + 2


def test_a_place_knows_its_shards_and_its_partition(units):
    assert units.shards == {"JFK": ("0", "2"), "LGA": ("1",)}
    assert units.shards_of("1") == ("1",)
    assert units.shards_of("@JFK") == ("0", "2")
    assert units.shards_of(ALL) == ("0", "1", "2")
    assert [units.partition_of(where) for where in ("1", "@JFK", ALL)] == ["LGA", "JFK", None]


def test_an_entity_task_waits_at_its_own_shard_and_for_its_scopes(units):
    assert units.inputs(Unit("b", "2")) == [Unit("a", "2")]
    assert units.inputs(Unit("c", "1")) == [Unit("b", "1"), Unit("model", "@LGA"), Unit("total", ALL)]


def test_a_scoped_task_waits_for_all_that_lies_in_its_scope(units):
    assert units.inputs(Unit("model", "@JFK")) == [
        Unit("a", "0"),
        Unit("a", "2"),
        Unit("b", "0"),
        Unit("b", "2"),
    ]
    assert units.inputs(Unit("total", ALL)) == [Unit("model", "@JFK"), Unit("model", "@LGA")]
    assert units.inputs(Unit("note", "@LGA")) == [Unit("total", ALL)]


def test_roots_wait_for_nothing(units):
    assert units.roots() == [Unit("a", "0"), Unit("a", "1"), Unit("a", "2")]


def test_the_first_claim_at_a_place_starts_the_clocks_of_its_shard_partition_and_wave(units):
    assert units.waiting("1") == {
        "1": [(Unit("b", "1"), 600.0), (Unit("c", "1"), 780.0)],
        "@LGA": [(Unit("model", "@LGA"), 660.0), (Unit("note", "@LGA"), 780.0)],
        ALL: [(Unit("total", ALL), 720.0)],
    }
    assert set(units.waiting("@JFK")) == {"@JFK", ALL}
    assert set(units.waiting(ALL)) == {ALL}


def test_a_wave_of_no_entities_has_no_units():
    flow = flow_of({"a": (), "total": ("a",), "limits": ()}, {"total": "wave", "limits": "partition"})
    units = spec_of(flow, ()).units
    assert (list(units), len(units), units.roots()) == ([], 0, [])


def test_a_unit_is_written_as_task_and_place_and_read_back():
    assert str(Unit("delay", "@JFK")) == "delay @JFK"
    assert Unit.read("delay @JFK") == Unit("delay", "@JFK")


@FEW
@given(waves())
def test_inputs_and_dependents_are_each_others_mirror(spec):
    everything = list(spec.units)
    down = {(i, unit) for unit in everything for i in spec.units.inputs(unit)}
    up = {(unit, d) for unit in everything for d in spec.units.dependents(unit)}
    assert down == up
    assert {u for pair in down for u in pair} <= set(everything)


@FEW
@given(waves())
def test_counts_agree_with_what_is_counted(spec):
    everything = list(spec.units)
    assert len(spec.units) == len(everything) == len(set(everything))
    for unit in everything:
        inputs = spec.units.inputs(unit)
        assert spec.units.need(unit) == len(inputs) == len(set(inputs))
        dependents = spec.units.dependents(unit)
        assert len(dependents) == len(set(dependents))
    assert spec.units.roots() == [unit for unit in everything if not spec.units.need(unit)]


@FEW
@given(waves())
def test_every_unit_that_waits_has_its_clock_started_by_some_shard(spec):
    started = set()
    for number in range(len(spec.partitions)):
        for place, waiters in spec.units.waiting(str(number)).items():
            assert all(unit.where == place for unit, _ in waiters)
            assert all(spec.plan.steps[unit.task].timeout == timeout for unit, timeout in waiters)
            started |= {unit for unit, _ in waiters}
    assert started == {unit for unit in spec.units if spec.units.need(unit)}


@FEW
@given(waves())
def test_the_roots_of_segments_are_what_no_task_of_the_same_segment_feeds(spec):
    for index in range(len(spec.plan.segments)):
        names = spec.units.segment(index)
        roots = spec.units.segment_roots(index)
        fed = [name for name in names if set(names) & set(spec.plan.steps[name].inputs)]
        assert Counter(names) == Counter([*roots, *fed])
        assert roots


@FEW
@given(spec=waves())
def test_the_stages_of_a_segment_hold_each_task_once_after_its_inputs(spec):
    for index in range(len(spec.plan.segments)):
        stages = spec.units.stages(index)
        order = [name for stage in stages for name in stage]
        assert sorted(order) == sorted(spec.units.segment(index))
        for name in order:
            before = order[: order.index(name)]
            assert set(spec.plan.steps[name].inputs).intersection(order) <= set(before)
        for stage in stages:
            assert len({spec.plan.steps[name].queue for name in stage}) == 1


def test_stages_change_only_with_the_queue():
    flow = flow_of({"a": (), "b": (), "c": ("a",), "d": ("c", "b")})
    assert spec_of(flow, ("x",)).units.stages(0) == [("a", "b"), ("c", "d")]
