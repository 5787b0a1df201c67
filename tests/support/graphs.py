"""Tasks and flows of any shape, for tests of graphs."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from hypothesis import strategies as st

from pipeline import Flow, task
from pipeline.flows.plan import MAX_TASKS, Part, Plan, Series, compile_flow, members
from pipeline.flows.task import Task
from pipeline.gate.wave_spec import WaveSpec

Edges = Mapping[str, tuple[str, ...]]  # task -> its inputs

SEEDS = st.integers(0, 2**32 - 1)
THEN = datetime(2013, 6, 25, 13, tzinfo=UTC)


def make(name: str, *inputs: str, **options) -> Task:
    """A task of that name that reads those inputs and answers with its name."""
    space: dict = {}
    exec(f"def {name}({', '.join(inputs)}): return {name!r}", space)
    return task(**options)(space[name])


def flow_of(edges: Edges, scopes: Mapping[str, str] | None = None) -> Flow:
    """A flow with those edges, and those of its tasks scoped."""
    scopes = scopes or {}
    return Flow("graph", [make(name, *inputs, per=scopes.get(name)) for name, inputs in edges.items()])


def spec_of(flow: Flow, partitions: Iterable[str] = ("A", "A", "B"), max_tasks: int = MAX_TASKS) -> WaveSpec:
    """A wave of a flow over shards of ten entities, which lie in those partitions."""
    partitions = tuple(partitions)
    plan = compile_flow(flow, max_tasks=max_tasks)
    return WaveSpec(
        "main/graph 2013-06-25T13", "main", None, THEN, None, plan, partitions, (10,) * len(partitions), 0.0
    )


def ancestors(edges: Edges) -> dict[str, set[str]]:
    """Everything that lies before each task, by the edges alone."""

    def before(name: str) -> set[str]:
        return set(edges[name]).union(*(before(i) for i in edges[name]))

    return {name: before(name) for name in edges}


def orders(part: Part) -> set[tuple[str, str]]:
    """The pairs (earlier, later) that a tree of series and parallel parts puts in an order."""
    if isinstance(part, str):
        return set()
    pairs = set().union(*(orders(inner) for inner in part.parts))
    if isinstance(part, Series):
        for i, first in enumerate(part.parts):
            pairs |= {(a, b) for later in part.parts[i + 1 :] for a in members(first) for b in members(later)}
    return pairs


def inputs_in(plan: Plan) -> Edges:
    """The edges of a plan."""
    return {step.name: step.inputs for step in plan.steps.values()}


@st.composite
def graphs(draw: st.DrawFn, most: int = 12) -> Edges:
    """Any directed acyclic graph, its tasks named in any order.

    Drawn by a seed, for evenness: drawn edge by edge, most graphs have next to no edges.
    """
    names = [f"t{i}" for i in range(draw(st.integers(1, most)))]
    chance = random.Random(draw(SEEDS))
    edges = {
        name: tuple(chance.sample(names[:i], min(i, chance.choice([0, 1, 1, 2, 3]))))
        for i, name in enumerate(names)
    }
    chance.shuffle(names)
    return {name: edges[name] for name in names}


@st.composite
def series_parallel(draw: st.DrawFn, most: int = 12) -> Edges:
    """A graph that is made by putting parts one after the other, or side by side."""
    shape = draw(
        st.recursive(
            st.just("task"),
            lambda inner: st.tuples(
                st.sampled_from(["series", "parallel"]), st.lists(inner, min_size=2, max_size=3)
            ),
            max_leaves=most,
        )
    )
    edges: dict[str, tuple[str, ...]] = {}

    def build(part: str | tuple, after: tuple[str, ...]) -> tuple[str, ...]:
        """Add a part that comes after some tasks; gives the tasks that it ends with."""
        if isinstance(part, str):
            name = f"t{len(edges)}"
            edges[name] = after
            return (name,)
        kind, parts = part
        ends: tuple[str, ...] = ()
        for inner in parts:
            last = build(inner, after)
            ends = last if kind == "series" else ends + last
            after = last if kind == "series" else after
        return ends

    build(shape, ())
    return edges


@st.composite
def scoped_flows(draw: st.DrawFn, most: int = 10) -> Flow:
    """A flow of any shape, some of its tasks once a partition or once a wave."""
    edges = draw(graphs(most))
    chance = random.Random(draw(SEEDS))
    scopes = {name: chance.choice([None] * 6 + ["partition", "wave"]) for name in edges}
    return flow_of(edges, scopes)


@st.composite
def waves(draw: st.DrawFn, most: int = 10) -> WaveSpec:
    """A wave of any flow over a few shards; small segments, so that flows are cut often."""
    partitions = draw(st.lists(st.sampled_from("ABC"), min_size=1, max_size=4))
    return spec_of(draw(scoped_flows(most)), partitions, draw(st.sampled_from([2, 3, 4, MAX_TASKS])))
