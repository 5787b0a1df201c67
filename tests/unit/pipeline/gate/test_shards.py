"""Cutting entities into shards."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import Flow, State, task
from pipeline.errors import CodecError, KeyFormatError
from pipeline.flows.left_out import LeftOut
from pipeline.flows.plan import compile_flow
from pipeline.gate import shards
from pipeline.gate.shards import cut_shards, fair_share, fused_segments, shard_size
from pipeline.settings import Settings
from tests.support.graphs import flow_of

ANY = State("entities")
ROUTES = State("routes", partition_by="origin")
PLAN = compile_flow(flow_of({"a": (), "b": ("a",), "model": ("b",)}, {"model": "wave"}))
SETTINGS = Settings(shard_seconds=2.0, shard_size=500, shard_max=1000)


# How large


@pytest.mark.parametrize(
    ("costs", "size"),
    [
        ({}, 500),
        ({"a": 0.0}, 500),
        ({"other": 1.0}, 500),
        ({"model": 30.0}, 500),
        ({"a": 0.01, "b": 0.002}, 200),
        ({"a": 0.00001}, 1000),
        ({"a": 60.0}, 1),
    ],
)
def test_a_shard_is_worth_two_seconds_of_its_dearest_entity_task(costs, size):
    assert shard_size(SETTINGS, PLAN, costs) == size


def test_before_any_cost_is_known_a_shard_is_no_larger_than_allowed():
    assert shard_size(Settings(shard_size=500, shard_max=50), PLAN, {}) == 50


@pytest.mark.parametrize(
    ("costs", "share", "size"),
    [
        ({"a": 0.05}, 9, 9),  # 288 entities: 32 shards of 0.45 s
        ({"a": 0.05}, 400, 40),  # two seconds are enough
        ({"a": 0.05}, 2, 5),  # less than a quarter of a second is not worth a message
        ({"a": 0.00001}, 300, 1000),
        ({"a": 60.0}, 9, 1),
        ({}, 9, 10),
        ({}, 31, 31),
        ({}, 3000, 500),
    ],
)
def test_a_shard_is_a_fair_share_of_the_entities_as_long_as_it_is_worth_a_message(costs, share, size):
    assert shard_size(SETTINGS, PLAN, costs, share) == size


def test_a_share_is_one_of_32_or_nothing_where_a_batch_task_would_be_called_more_often():
    @task(batch=True)
    def together(entity):
        return dict.fromkeys(entity)

    @task
    def each(entity):
        return None

    @task(per="wave", batch=True)
    def everything(each):
        return {}

    assert fair_share(Flow("f", [each, everything]), 288) == 9
    assert fair_share(Flow("f", [each, everything]), 289) == 10
    assert fair_share(Flow("f", [each, together]), 288) is None


# The cut

groups = st.lists(st.integers(0, 40), max_size=4)


@settings(deadline=None, max_examples=100)
@given(groups, st.integers(1, 15))
def test_each_entity_is_in_one_shard_of_its_partition_in_order_and_evenly(counts, size):
    given_groups = [(f"P{n}", [f"P{n}-{i:02}" for i in range(count)], {}) for n, count in enumerate(counts)]
    shards = cut_shards(given_groups, size)
    for name, keys, _ in given_groups:
        parts = [shard.keys for shard in shards if shard.partition == name]
        assert [key for part in parts for key in part] == keys
        lengths = [len(part) for part in parts]
        assert all(0 < length <= size for length in lengths)
        assert not lengths or max(lengths) - min(lengths) <= 1
        assert len(parts) == -(-len(keys) // size), "as few as the size allows"


def test_features_travel_in_the_order_of_the_keys():
    (shard,) = cut_shards([("JFK", ["A", "B"], {"B": {"n": 1}})], 10)
    assert shard.features == ({}, {"n": 1})
    assert [(e, dict(e.features), e.partition_name) for e in shard.entities()] == [
        ("A", {}, "JFK"),
        ("B", {"n": 1}, "JFK"),
    ]


def test_a_shard_without_features_carries_none():
    (shard,) = cut_shards([("JFK", ["A"], {})], 10)
    assert shard.features is None
    assert [dict(e.features) for e in shard.entities()] == [{}]


# Entities that are given at submission


def own_entities(entities, state):
    return shards.own_entities(entities, state, LeftOut())


def test_keys_are_sorted_and_each_is_taken_once():
    assert own_entities(["B", "A", "B"], ANY) == [("default", ["A", "B"], {})]
    assert own_entities(iter(["B", "A"]), ANY) == [("default", ["A", "B"], {})]
    assert own_entities([], ANY) == []


def test_entities_are_grouped_by_the_feature_that_partitions():
    given_entities = {"x": {"origin": "LGA"}, "b": {"origin": "JFK", "n": 1}, "a": {"origin": "JFK"}}
    assert own_entities(given_entities, ROUTES) == [
        ("JFK", ["a", "b"], {"a": {"origin": "JFK"}, "b": {"origin": "JFK", "n": 1}}),
        ("LGA", ["x"], {"x": {"origin": "LGA"}}),
    ]


def test_features_are_as_a_state_would_give_them_back():
    ((_, _, features),) = own_entities({"a": {"n": np.int64(3), "origin": np.str_("JFK"), "at": (1, 2)}}, ANY)
    assert features == {"a": {"n": 3, "origin": "JFK", "at": [1, 2]}}
    assert type(features["a"]["n"]) is int


@pytest.mark.parametrize("entities", ["JFK-LAX", None, 5])
def test_entities_come_as_a_list(entities):
    with pytest.raises(KeyFormatError) as caught:
        own_entities(entities, ANY)
    assert (
        str(caught.value) == f"entities={entities!r} is not a list of entities. Give one: entities=['...']."
    )


@pytest.mark.parametrize("key", ["a b", "@all", "", 5])
@pytest.mark.parametrize("with_features", [False, True])
def test_a_key_that_cannot_be_one_is_refused(key, with_features):
    with pytest.raises(KeyFormatError, match="entity key"):
        own_entities({key: {}} if with_features else [key], ANY)


@pytest.mark.parametrize("entities", [["a"], {"a": {}}, {"a": {"origin": None}}])
def test_an_entity_without_the_feature_that_partitions_is_refused(entities):
    with pytest.raises(KeyFormatError) as caught:
        own_entities(entities, ROUTES)
    assert str(caught.value) == (
        "entity 'a' lacks the feature 'origin', by which state 'routes' is partitioned. "
        "Give it: add('a', origin=...)."
    )


def test_features_that_are_no_dictionary_are_refused():
    with pytest.raises(KeyFormatError) as caught:
        own_entities({"a": "JFK"}, ANY)
    assert str(caught.value) == "the features of entity 'a' are of type str. Give a dictionary by name."


def test_features_that_cannot_be_kept_name_the_entity():
    with pytest.raises(
        CodecError, match=r"features of entity 'b' of state 'entities': the value\['seen'\] is"
    ):
        own_entities({"b": {"seen": {1}}}, ANY)


def test_one_bad_entity_is_left_out_and_named_and_the_others_are_not():
    given = {"a": {"origin": "JFK"}, "b c": {"origin": "LGA"}, 5: {}, "d": {"miles": 3}, "e": {"origin": {1}}}
    left = LeftOut()
    assert shards.own_entities(given, ROUTES, left) == [("JFK", ["a"], {"a": {"origin": "JFK"}})]
    assert left.count == 4
    assert list(left.reasons) == ["b c", "5", "d", "e"]
    assert left.reasons["5"] == "entity key 5 has the type int. Give a text."


def test_a_segment_is_fused_only_when_all_its_costs_are_known_and_small():
    plan = compile_flow(flow_of({"a": (), "b": ("a",)}))
    assert fused_segments(plan, {"a": 1e-5, "b": 1e-5}, 100) == (0,)
    assert fused_segments(plan, {"a": 1e-5}, 100) == ()
    assert fused_segments(plan, {"a": 1e-5, "b": 1.0}, 100) == ()
    assert fused_segments(plan, {"a": 1e-5, "b": 1e-5}, 100_000) == ()


def test_a_batch_task_with_a_fixed_cost_does_not_shrink_its_shards_wave_by_wave():
    costs, batch = {"a": 1e-5, "b": 10.0}, frozenset({"b"})
    assert shard_size(SETTINGS, PLAN, costs, None, batch) == 100
    assert shard_size(SETTINGS, PLAN, {"a": 1.0, "b": 10.0}, None, batch) == 2
