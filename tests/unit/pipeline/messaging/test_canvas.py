"""From plan to messages: what is sent when, and that whatever the order every unit comes to a worker."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable
from functools import partial
from queue import SimpleQueue

import pytest
from celery import Celery
from hypothesis import given, settings
from hypothesis import strategies as st
from kombu.transport.memory import Channel

from pipeline import Flow
from pipeline.app import celery_settings
from pipeline.flows.plan import MAX_TASKS, Parallel, Part, Series
from pipeline.gate.units import ALL, Unit
from pipeline.gate.wave_spec import WaveSpec
from pipeline.messaging.canvas import (
    HARD_LIMIT,
    JOIN,
    RUN,
    Canvas,
    Message,
    Sender,
    Single,
    first_messages,
    following,
)
from pipeline.settings import Settings
from tests.support.graphs import flow_of, make, spec_of, waves

# What is sent

DIAMOND = {"a": (), "b": ("a",), "c": ("a",), "d": ("b", "c")}


def test_a_wave_starts_with_a_canvas_for_each_shard():
    spec = spec_of(flow_of(DIAMOND), ("JFK", "LGA"))
    assert first_messages(spec) == [Canvas(0, "0"), Canvas(0, "1")]


def test_a_segment_of_one_task_is_sent_as_that_task():
    assert first_messages(spec_of(flow_of({"a": ()}), ("JFK",))) == [Single(Unit("a", "0"))]


def test_a_scoped_task_that_waits_for_nothing_is_sent_at_once():
    flow = flow_of({"a": (), "b": ("a", "limits")} | {"limits": ()}, {"limits": "wave"})
    assert first_messages(spec_of(flow, ("JFK",))) == [Single(Unit("limits", ALL)), Single(Unit("a", "0"))]


def test_what_lies_in_the_canvas_that_brought_a_unit_is_not_sent():
    spec = spec_of(flow_of(DIAMOND))
    assert following(spec, Unit("a", "0"), False, [Unit("b", "0"), Unit("c", "0")]) == []


def test_what_a_single_message_made_ready_is_sent():
    spec = spec_of(flow_of(DIAMOND))
    assert following(spec, Unit("a", "0"), True, [Unit("b", "0"), Unit("c", "0")]) == [
        Single(Unit("b", "0")),
        Single(Unit("c", "0")),
    ]


def test_what_follows_a_scoped_task_is_sent_whole_to_each_of_its_shards():
    flow = flow_of({"a": (), "model": ("a",), "b": ("model",), "c": ("b",)}, {"model": "partition"})
    spec = spec_of(flow, ("JFK", "LGA", "JFK"))
    assert following(spec, Unit("a", "2"), False, [Unit("model", "@JFK")]) == [Single(Unit("model", "@JFK"))]
    ready = spec.units.dependents(Unit("model", "@JFK"))
    assert following(spec, Unit("model", "@JFK"), True, ready) == [Canvas(1, "0"), Canvas(1, "2")]


def test_a_segment_that_is_ready_in_part_is_sent_in_part():
    flow = flow_of({"a": (), "b": (), "c": ("a",), "d": ("b",), "e": ("c", "d")})
    spec = spec_of(flow, ("JFK",), max_tasks=2)
    assert [spec.units.segment(i) for i in range(3)] == [("a", "b"), ("c", "d"), ("e",)]
    assert following(spec, Unit("a", "0"), False, [Unit("c", "0")]) == [Single(Unit("c", "0"))]


# That every unit comes to a worker


class Workers:
    """Celery and the gate in plain Python: messages and runs in any order, canvases as chords and chains work."""

    def __init__(self, spec: WaveSpec, seed: int, lose: float = 0.0, repeat: float = 0.0) -> None:
        self.spec = spec
        self.random = random.Random(seed)
        self.lose, self.repeat = (
            lose,
            repeat,
        )  # chances that a message is lost, that a keeper sends a ready unit again
        self.events: list[Callable[[], None]] = []  # messages in queues, and runs that go on
        self.running: set[Unit] = set()
        self.done: set[Unit] = set()
        self.runs: Counter[Unit] = Counter()
        self.rescued = 0

    def run(self) -> None:
        """Run the wave until all is done; where nothing goes on any more, the keeper sends what is ready."""
        self.send(first_messages(self.spec))
        while True:
            while self.events:
                self.events.pop(self.random.randrange(len(self.events)))()
                if self.random.random() < self.repeat:
                    self.keep(1)
            if not self.ready():
                return
            self.rescued += 1
            self.keep(len(self.ready()))

    def keep(self, count: int) -> None:
        """Send again what is ready and not claimed, as the keeper does with what waits too long in a queue."""
        ready = self.ready()
        self.send([Single(unit) for unit in self.random.sample(ready, min(count, len(ready)))])

    def ready(self) -> list[Unit]:
        return [u for u in self.spec.units if u not in self.done | self.running and self.is_ready(u)]

    def is_ready(self, unit: Unit) -> bool:
        return self.done.issuperset(self.spec.units.inputs(unit))

    def send(self, messages: list[Message]) -> None:
        for message in messages:
            if isinstance(message, Single):
                self.queue(message.unit, True, lambda: None)
            else:
                self.deliver(self.spec.plan.segments[message.segment], message.where, lambda: None)

    def deliver(self, part: Part, where: str, then: Callable[[], None]) -> None:
        """A chain goes on when its part has ended, a chord when all of its header have."""
        if isinstance(part, str):
            self.queue(Unit(part, where), False, then)
        elif isinstance(part, Series):
            first, *rest = part.parts
            later = partial(self.deliver, Series(tuple(rest)), where, then) if rest else then
            self.deliver(first, where, later)
        else:
            left = set(range(len(part.parts)))

            def one(i: int) -> None:
                left.remove(i)
                if not left:
                    then()

            for i, inner in enumerate(part.parts):
                self.deliver(inner, where, partial(one, i))

    def queue(self, unit: Unit, follow: bool, then: Callable[[], None]) -> None:
        if self.random.random() >= self.lose:
            self.events.append(partial(self.claim, unit, follow, then))

    def claim(self, unit: Unit, follow: bool, then: Callable[[], None]) -> None:
        """A message that is refused ends at once, and its canvas goes on."""
        if unit in self.done | self.running or not self.is_ready(unit):
            then()
            return
        self.running.add(unit)
        self.events.append(partial(self.report, unit, follow, then))

    def report(self, unit: Unit, follow: bool, then: Callable[[], None]) -> None:
        self.running.remove(unit)
        self.done.add(unit)
        self.runs[unit] += 1
        ready = [d for d in self.spec.units.dependents(unit) if self.is_ready(d) and d not in self.running]
        self.send(following(self.spec, unit, follow, ready))
        then()


FEW = settings(deadline=None, max_examples=100)
seeds = st.integers(0, 10**9)


@FEW
@given(waves(), seeds)
def test_when_nothing_is_lost_every_unit_is_run_without_the_keeper(spec, seed):
    workers = Workers(spec, seed)
    workers.run()
    assert workers.runs == Counter(list(spec.units))
    assert workers.rescued == 0


@FEW
@given(waves(), seeds)
def test_messages_that_are_sent_twice_run_nothing_twice_and_lose_nothing(spec, seed):
    workers = Workers(spec, seed, repeat=0.3)
    workers.run()
    assert workers.runs == Counter(list(spec.units))
    assert workers.rescued == 0


@FEW
@given(waves(), seeds)
def test_when_messages_are_lost_the_keeper_is_all_that_it_takes(spec, seed):
    workers = Workers(spec, seed, lose=0.3, repeat=0.1)
    workers.run()
    assert workers.runs == Counter(list(spec.units))


# What a message looks like


@pytest.fixture(scope="module")
def app():
    return Celery("test", broker="memory://", backend="cache+memory://", set_as_current=False)


def shape(signature) -> Part | None:
    """Read a signature back as series and parallel parts; None for what only joins two of them."""
    if signature.task == JOIN:
        return None
    if signature.task == RUN:
        return signature.args[1]
    if signature.task == "celery.chain":
        parts = [shape(inner) for inner in signature.tasks]
        return Series(tuple(part for part in parts if part is not None))
    if signature.task == "celery.chord":
        body = shape(signature.body)
        return Series(
            (shape_of_group(signature.tasks), *(body.parts if isinstance(body, Series) else [body]))
        )
    assert signature.task == "celery.group"
    return shape_of_group(signature.tasks)


def shape_of_group(signatures) -> Parallel:
    return Parallel(tuple(shape(inner) for inner in signatures))


def leaves(signature):
    """All tasks of a signature."""
    if signature.task in (RUN, JOIN):
        yield signature
        return
    inner = [*signature.tasks, *([signature.body] if signature.task == "celery.chord" else [])]
    for each in inner:
        yield from leaves(each)


@FEW
@given(waves())
def test_a_canvas_is_the_plans_tree(app, spec):
    for index, part in enumerate(spec.plan.segments):
        signature = Sender(app).signature(spec, Canvas(index, "0"))
        assert shape(signature) == part


def test_every_signature_is_immutable_and_carries_references_queue_and_limit(app):
    flow = Flow(
        "delays",
        [make("a", time_limit="5m"), make("b", "a", queue="gpu"), make("c", "a"), make("d", "b", "c")],
    )
    spec = spec_of(flow)
    found = {s.args[1]: s for s in leaves(Sender(app).signature(spec, Canvas(0, "2")))}
    assert list(found) == ["a", "b", "c", "d"]
    for name, signature in found.items():
        assert signature.immutable
        assert signature.args[:4] == (spec.id, name, "2", 0), "a canvas brings what follows by itself"
        assert signature.options["shadow"] == f"delays.{name}"
        assert signature.options["ignore_result"]
    assert found["a"].options["queue"] == "main.collect"
    assert found["b"].options["queue"] == "main.gpu"
    assert found["a"].options["time_limit"] == 300.0 + HARD_LIMIT


def test_a_single_message_says_that_nothing_follows_by_itself(app):
    signature = Sender(app).signature(spec_of(flow_of(DIAMOND)), Single(Unit("b", "1")))
    assert signature.args[:4] == ("main/graph 2013-06-25T13", "b", "1", 1)


@pytest.mark.parametrize(
    "edges",
    [
        {0: [], **{i: [0] for i in range(1, 7)}, 7: range(1, 7)},
        {i: range(max(i - 1, 0), i) for i in range(MAX_TASKS)},
        {i: [] for i in range(MAX_TASKS)},
        {i: [i // 2 * 2 - 2, i // 2 * 2 - 1] if i > 1 else [] for i in range(MAX_TASKS)},
    ],
    ids=["fan", "chain", "wide", "layers"],
)
def test_the_first_message_of_the_largest_canvas_stays_under_4_kb(edges):
    def name(i: int) -> str:
        return f"a_name_longer_than_most_people_give_{i}"

    spec = spec_of(flow_of({name(i): tuple(map(name, inputs)) for i, inputs in edges.items()}))
    app = Celery("test", set_as_current=False)
    app.conf.update(
        celery_settings(Settings(version="main"))
        | {"broker_url": "memory://", "broker_transport_options": {}, "result_backend": "cache+memory://"}
    )
    queue = Channel.queues.setdefault("main.collect", SimpleQueue())
    Sender(app).send(spec, [Canvas(0, "0")])
    sizes = []
    while not queue.empty():
        sizes.append(len(json.dumps(queue.get())))
    assert 0 < max(sizes) < 4096


def test_between_two_parallel_parts_a_task_joins_them(app):
    spec = spec_of(flow_of({"a": (), "b": (), "c": ("a", "b"), "d": ("a", "b")}))
    assert spec.plan.segments == (Series((Parallel(("a", "b")), Parallel(("c", "d")))),)
    joins = [s for s in leaves(Sender(app).signature(spec, Canvas(0, "0"))) if s.task == JOIN]
    assert len(joins) == 1
    assert joins[0].immutable
    assert joins[0].options["queue"] == "main.control"
