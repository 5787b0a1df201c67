"""Plans: any graph as segments of series and parallel parts."""

from __future__ import annotations

import json
from collections import Counter
from itertools import chain

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import Flow
from pipeline.errors import FlowError
from pipeline.flows.plan import Parallel, Plan, Series, compile_flow, members
from tests.support.graphs import (
    ancestors,
    flow_of,
    graphs,
    inputs_in,
    make,
    orders,
    scoped_flows,
    series_parallel,
)

ONE_SEGMENT = 1000
FEW = settings(deadline=None, max_examples=100)


def tree(edges, **options):
    (part,) = compile_flow(flow_of(edges), max_tasks=ONE_SEGMENT, **options).segments
    return part


# Known shapes


def test_one_task_is_a_part_by_itself():
    assert tree({"a": ()}) == "a"


def test_a_chain_is_in_series():
    assert tree({"a": (), "b": ("a",), "c": ("b",)}) == Series(("a", "b", "c"))


def test_tasks_without_edges_are_parallel():
    assert tree({"a": (), "b": ()}) == Parallel(("a", "b"))


def test_a_diamond_maps_exactly():
    plan = compile_flow(flow_of({"a": (), "b": ("a",), "c": ("a",), "d": ("b", "c")}))
    assert plan.segments == (Series(("a", Parallel(("b", "c")), "d")),)
    assert plan.waits == ()


def test_an_edge_past_a_task_adds_nothing():
    assert tree({"a": (), "b": ("a",), "c": ("a", "b")}) == Series(("a", "b", "c"))


def test_the_n_shape_is_cut_and_lists_its_wait():
    plan = compile_flow(flow_of({"a": (), "b": (), "c": ("a",), "d": ("a", "b")}))
    assert plan.segments == (Series((Parallel(("a", "b")), Parallel(("c", "d")))),)
    assert plan.waits == (("c", "b"),), "c waits for b, though it does not read it"


def test_branches_of_unequal_length_wait_for_nobody():
    plan = compile_flow(flow_of({"a": (), "b": ("a",), "c": ("b",), "x": (), "end": ("c", "x")}))
    assert plan.segments == (Series((Parallel((Series(("a", "b", "c")), "x")), "end")),)
    assert plan.waits == ()


# Every shape


@FEW
@given(graphs())
def test_each_task_comes_once_and_after_its_inputs(edges):
    part = tree(edges)
    assert Counter(members(part)) == Counter(list(edges))
    assert {(i, name) for name in edges for i in edges[name]} <= orders(part)


@FEW
@given(graphs())
def test_the_waits_are_exactly_what_the_tree_adds_to_the_edges(edges):
    plan = compile_flow(flow_of(edges), max_tasks=ONE_SEGMENT)
    before = ancestors(edges)
    added = {(later, early) for early, later in orders(plan.segments[0]) if early not in before[later]}
    assert set(plan.waits) == added
    assert len(plan.waits) == len(added)


@FEW
@given(series_parallel())
def test_a_series_parallel_graph_maps_without_added_waits(edges):
    assert compile_flow(flow_of(edges), max_tasks=ONE_SEGMENT).waits == ()


@FEW
@given(scoped_flows(), st.integers(1, 5))
def test_each_task_is_in_one_segment_or_scoped_and_no_segment_needs_a_later_one(flow, size):
    plan = compile_flow(flow, max_tasks=size)
    segments = [list(members(part)) for part in plan.segments]
    assert all(1 <= len(names) <= size for names in segments)
    assert Counter(chain(*segments)) == Counter(s.name for s in plan.steps.values() if s.per is None)
    for step in plan.steps.values():
        assert step.segment == next((i for i, names in enumerate(segments) if step.name in names), -1)
        for i in step.inputs:
            assert step.segment < 0 or plan.steps[i].segment <= step.segment
    for part, names in zip(plan.segments, segments, strict=True):
        assert {(i, n) for n in names for i in plan.steps[n].inputs if i in names} <= orders(part)


@FEW
@given(scoped_flows())
def test_no_segment_reaches_past_a_scoped_task(flow):
    plan = compile_flow(flow)
    before = ancestors(inputs_in(plan))
    for step in plan.steps.values():
        scoped = {name for name in before[step.name] if plan.steps[name].per}
        same = {s.name for s in plan.steps.values() if s.segment == step.segment >= 0}
        assert not [name for name in scoped if before[name] & same]


@FEW
@given(scoped_flows())
def test_a_plan_comes_back_from_json_as_it_was(flow):
    plan = compile_flow(flow, max_tasks=3)
    again = Plan.load(json.loads(json.dumps(plan.dump())))
    assert again == plan
    assert list(again.steps) == list(plan.steps)


# What a wave carries


def test_a_step_has_what_is_needed_to_run_without_the_flows_code():
    flow = Flow(
        "f",
        [
            make("a", time_limit="5m"),
            make("b", "a", timeout="20m", queue="gpu"),
            make("model", "b", per="partition"),
            make("c", "model"),
        ],
    )
    plan = compile_flow(flow)
    shown = [
        (s.name, s.inputs, s.per, s.segment, s.queue, s.timeout, s.time_limit) for s in plan.steps.values()
    ]
    assert shown == [
        ("a", (), None, 0, "collect", 0.0, 300.0),
        ("b", ("a",), None, 0, "gpu", 1200.0, 600.0),
        ("model", ("b",), "partition", -1, "compute", 1260.0, 600.0),
        ("c", ("model",), None, 1, "compute", 1320.0, 600.0),
    ]
    assert plan.dependents("a") == ("b",)
    assert plan.dependents("c") == ()


def test_only_some_tasks_wait_only_for_each_other():
    flow = flow_of({"a": (), "b": ("a",), "c": ("b",), "d": ("c", "a")})
    plan = compile_flow(flow, only=["d", "c"])
    assert list(plan.steps) == ["c", "d"]
    assert plan.steps["c"].inputs == ()
    assert plan.steps["c"].timeout == 0.0, "what is read from the store is not waited for"
    assert plan.steps["d"].inputs == ("c",)
    assert plan.segments == (Series(("c", "d")),)


@pytest.mark.parametrize(
    ("only", "said"),
    [
        (["delays"], "flow 'f' has no task 'delays'. Did you mean 'delay'? It has: delay."),
        ([], "flow 'f': only=[] leaves no task to run. Name one, or leave it out."),
        ("delay", "flow 'f': only='delay' is one text. Give a list: only=['delay']."),
    ],
)
def test_a_choice_of_tasks_that_cannot_be_run_is_refused(only, said):
    with pytest.raises(FlowError) as caught:
        compile_flow(Flow("f", [make("delay")]), only)
    assert str(caught.value) == said
