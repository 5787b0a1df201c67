"""The parts of serving that need no service: splits, estimates, what is lost, the catalogue, messages, slots."""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections.abc import Sequence

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.allowed import Allowed
from pipeline.errors import KeyFormatError
from pipeline.serving.admission import Capacity, together
from pipeline.serving.batcher import BYTES, SLOWEST, Lane, Waiting
from pipeline.serving.catalogue import Entry, Source
from pipeline.serving.errors import CatalogueError, ModelFault
from pipeline.serving.inflight import UNTAKEN, InFlight
from pipeline.serving.loaded_models import Held, NotHeld
from pipeline.serving.models import kind, kind_of, load, predict
from pipeline.serving.names import Place, check_name
from pipeline.serving.producer import Producer
from pipeline.serving.slots import Slots, Work, groups_of, parts_of
from pipeline.serving.splits import choose, sampled
from pipeline.serving.status_board import View, WorkerState
from pipeline.serving.version_results import difference, read
from pipeline.serving.wire import (
    OK,
    Answered,
    Asked,
    Batch,
    dump_replies,
    message,
    parse,
    parse_replies,
    writable,
)

ONE, TWO, THREE = (Source("callable", f"tests:{name}") for name in ("one", "two", "three"))


def entry(**more) -> Entry:
    return Entry("delays", {"1": ONE, "2": TWO, "3": THREE}, live="1", **more)


# -- splits


def test_a_key_always_gets_the_same_version():
    assert len({choose({"2": 0.5}, "shop-7", "delays") for _ in range(10)}) == 1


def test_traffic_is_split_by_weight():
    chosen = [choose({"2": 0.1, "3": 0.3}, f"key {i}", "delays") for i in range(20_000)]
    assert chosen.count("2") / 20_000 == pytest.approx(0.1, abs=0.01)
    assert chosen.count("3") / 20_000 == pytest.approx(0.3, abs=0.01)
    assert chosen.count(None) / 20_000 == pytest.approx(0.6, abs=0.01)


def test_a_larger_share_takes_keys_over_and_gives_none_back():
    keys = [f"key {i}" for i in range(2000)]
    before = {key for key in keys if choose({"2": 0.1}, key) == "2"}
    assert before < {key for key in keys if choose({"2": 0.3}, key) == "2"}


def test_two_models_split_the_same_keys_in_different_ways():
    keys = [f"key {i}" for i in range(200)]
    one = {key for key in keys if choose({"2": 0.5}, key, "delays")}
    assert one != {key for key in keys if choose({"2": 0.5}, key, "prices")}


def test_a_shadow_gets_a_fraction():
    got = sum(sampled(f"key {i}", 0.2, "delays") for i in range(10_000))
    assert got / 10_000 == pytest.approx(0.2, abs=0.02)
    assert all(sampled(f"key {i}", 1.0) for i in range(100))


# -- estimates


def test_an_idle_model_takes_the_first_request_however_slow_it_was():
    assert Capacity(1, 1, 1.0, seconds=60.0).refuses(0, 1, deadline=10.0) is None


def test_what_fits_into_the_deadline_is_accepted_and_no_more():
    busy = Capacity(1, slots=10, seconds=1.0)
    assert busy.refuses(70, 1, deadline=10.0) is None
    later = busy.refuses(100, 1, deadline=10.0)
    assert later is not None
    assert 0 < later < 5


def test_a_model_that_was_never_measured_gets_what_its_slots_hold():
    new = Capacity(1, slots=4)
    assert new.refuses(3, 1, deadline=10.0) is None
    assert new.refuses(40, 1, deadline=10.0) is not None


def test_without_workers_nothing_is_accepted_once_something_waits():
    assert together([]).refuses(1, 1, 10.0) is not None


def test_workers_add_up_by_their_slots():
    both = together([(8, 2.0, 0.5), (24, 4.0, None)])
    assert (both.workers, both.slots, both.seconds, both.per_call) == (2, 32, 0.5, 3.5)
    assert both.rate == pytest.approx(32 * 3.5 / 0.5)
    assert together([(8, 1.0, None)]).rate == math.inf


# -- what is lost


def sent(flight: InFlight, *names: str, at: float = 0.0) -> None:
    for name in names:
        flight.add(name, {f"{name}{i}": f"{name}{i}" for i in range(2)}, at)


def test_what_a_dead_worker_had_is_lost():
    flight = InFlight()
    sent(flight, "a", "b")
    flight.took("a", "w1", 0.1)
    flight.took("b", "w2", 0.1)
    flight.done("a0")
    assert flight.lost({"w2"}, 5.0) == ["a1"]
    assert flight.lost({"w2"}, 50.0) == []


def test_what_waits_on_the_queue_is_not_lost_however_long():
    flight = InFlight()
    sent(flight, "a")
    assert flight.lost({"w1"}, 1000.0) == []


def test_what_left_the_queue_and_was_taken_by_nobody_is_lost():
    flight = InFlight()
    sent(flight, "a", at=0.0)
    flight.empty_queue(0.5)
    assert flight.lost({"w1"}, 0.5 + UNTAKEN / 2) == []
    assert flight.lost({"w1"}, 0.6 + UNTAKEN) == ["a0", "a1"]


def test_a_look_that_began_before_the_message_was_sent_tells_nothing_of_it():
    flight = InFlight()
    sent(flight, "a", at=1.0)
    flight.empty_queue(0.9)
    assert flight.lost({"w1"}, 100.0) == []


def test_a_later_message_that_was_taken_tells_that_an_earlier_one_left_the_queue():
    flight = InFlight()
    sent(flight, "a", "b")
    flight.took("b", "w1", 2.0)
    assert flight.lost({"w1"}, 2.1 + UNTAKEN) == ["a0", "a1"]


@given(st.lists(st.tuples(st.sampled_from("tdk"), st.integers(0, 5)), max_size=40))
def test_each_request_is_either_done_once_or_lost_once(steps):
    flight, alive, gone = InFlight(), {"w0", "w1", "w2"}, []
    sent(flight, *"abcdef")
    for what, i in steps:
        if what == "t":
            flight.took("abcdef"[i], f"w{i % 3}", 1.0)
        elif what == "d" and flight.done(f"{'abcdef'[i]}0"):
            gone.append(f"{'abcdef'[i]}0")
        else:
            alive.discard(f"w{i}")
            gone += flight.lost(alive, 1.0)
    assert len(gone) == len(set(gone))
    left = [name for found in flight.sent.values() for name in found.requests]
    assert sorted(gone + left) == sorted(f"{m}{i}" for m in "abcdef" for i in range(2))


# -- the catalogue


def test_the_first_version_is_live_and_a_promotion_remembers_it():
    new = Entry("delays").with_version("1", ONE).with_version("2", TWO)
    assert new.live == "1"
    assert (new.promoted("2").live, new.promoted("2").before) == ("2", ("1",))
    assert new.promoted("2").rolled_back().live == "1"


def test_a_rollback_ends_a_split_first():
    tested = entry().split({"2": 0.2}, {})
    assert tested.rolled_back().weights == {}
    assert tested.rolled_back().live == "1"


def test_a_promotion_ends_the_share_of_the_version():
    assert entry().split({"2": 0.2}, {"3": 1.0}).promoted("2").weights == {}
    assert entry().split({"2": 0.2}, {"3": 1.0}).promoted("3").shadow == {}


def test_an_entry_survives_its_way_through_redis():
    kept = entry(before=("0",)).split({"2": 0.25}, {"3": 0.5}, "shop")
    assert Entry.parse(kept.dump()) == kept
    assert kept.needed == ("1", "2", "3")


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda e: e.promoted("4"), "'delays' has no version '4'. There are: 1, 2, 3."),
        (lambda e: e.rolled_back(), "'delays' has no earlier version to go back to: 1 is the first."),
        (
            lambda e: e.split({"2": 0.7, "3": 0.6}, {}),
            "the shares make 1.3 together. They may make 1; 1 has the rest.",
        ),
        (
            lambda e: e.split({"1": 0.7, "2": 0.6}, {}),
            "the shares make 1.3 together. They may make 1; 1 has the rest.",
        ),
        (lambda e: e.split({"2": 20}, {}), "2=20 is not a share: give one from 0 to 1, like 2=0.1."),
        (lambda e: e.split({}, {"1": 1.0}), "1 is live and cannot be its own shadow."),
        (
            lambda e: e.with_version("2", THREE),
            "version '2' of 'delays' is 'tests:two' already, and a version never changes. "
            "Choose another name for this one.",
        ),
    ],
)
def test_a_change_that_cannot_be_made_says_why(change, text):
    with pytest.raises(CatalogueError) as raised:
        change(entry())
    assert str(raised.value) == text


def test_a_name_that_no_key_can_hold_is_refused():
    with pytest.raises(KeyFormatError, match=r"'a b' cannot be the name of a model: use up to 100 letters"):
        check_name("a b", "model")


# -- the board


def worker(name: str, **versions: str) -> WorkerState:
    return WorkerState(
        name, "host", 1, 8, 2, 1.0, 0.5, {key.strip("v"): what for key, what in versions.items()}
    )


def test_traffic_is_given_to_a_version_only_when_every_worker_holds_it():
    one, two = worker("a", v1="ready", v2="ready"), worker("b", v1="ready", v2="loading")
    assert View(entry(), {"a": one}).held("2")
    assert not View(entry(), {"a": one, "b": two}).held("2")
    assert not View(entry(), {}).held("1")
    assert View(entry(), {"a": one, "b": two}).capacity.slots == 16
    assert WorkerState.parse(two.dump()) == two


# -- messages


def test_a_message_is_one_of_celery():
    batch = Batch("b1", "p1", (Asked("r1", 5, "", False, [[1, 2.5, None]]), Asked("r2", 6, "2", True, ["é"])))
    envelope = orjson.loads(message(batch, "main.serve.delays"))
    assert envelope["headers"]["task"] == "pipeline.serve"
    assert envelope["properties"]["delivery_info"] == {"exchange": "", "routing_key": "main.serve.delays"}
    assert parse(envelope["body"]) == batch


def test_answers_come_back_as_they_were_given():
    given = [Answered("r1", OK, "1", [1, None], 2.5)]
    replies = parse_replies(dump_replies("w", ["b1"], given))
    assert (replies.worker, replies.took, replies.answers) == ("w", ["b1"], given)


def test_numbers_of_numpy_are_written_and_what_json_cannot_hold_is_known():
    assert writable([np.float32(1.5), np.int64(2)])
    assert not writable([object()])
    answer = Answered("r", OK, "1", [float("nan"), np.float64(2.0)], 0.0)
    assert parse_replies(dump_replies("w", [], [answer])).answers[0].value == [None, 2.0]


# -- models


def test_a_kind_is_known_by_its_name_by_its_file_or_as_a_class():
    assert kind("xgboost", Allowed()).__name__ == "XGBoost"
    assert kind(f"{__name__}:Short", Allowed(("tests",))).__name__ == "Short"
    assert [kind_of(path) for path in ("a/b.ubj", "b.skops", "m:f")] == ["xgboost", "sklearn", "callable"]


@pytest.mark.parametrize(
    ("do", "text"),
    [
        (
            lambda: kind("xgbost", Allowed()),
            "no kind of model 'xgbost'. Did you mean 'xgboost'? There are: callable",
        ),
        (
            lambda: kind("nowhere:Model", Allowed(("nowhere",))),
            "nowhere:Model cannot be imported (No module named 'nowhere')",
        ),
        (
            lambda: kind("json:dumps", Allowed(("json",))),
            "json:dumps has no load: a kind of model is a class with load(path)",
        ),
        (
            lambda: kind_of("model.pkl"),
            "'model.pkl' does not tell what kind of model it is. Give --kind: callable",
        ),
        (
            lambda: load(Source("xgboost", "/no.ubj"), Allowed(folders=("/",))),
            "xgboost cannot load '/no.ubj': ModelFault: there is no file",
        ),
        (
            lambda: load(Source("callable", "math:pi"), Allowed(("math",))),
            "math:pi is a float, which cannot be called.",
        ),
    ],
)
def test_a_model_that_cannot_be_loaded_says_why(do, text):
    with pytest.raises(ModelFault) as raised:
        do()
    assert text in str(raised.value)


class Short:
    @classmethod
    def load(cls, path): ...

    def predict(self, instances):
        return instances[1:]


def test_a_prediction_too_few_is_a_fault_of_the_model():
    with pytest.raises(ModelFault, match=r"^the model gave 1 predictions for 2 instances\.$"):
        predict(Short(), [1, 2])


# -- what leaves together


def test_a_message_holds_so_many_requests_and_bytes_and_at_least_one():
    sent: list[list[str]] = []

    async def fill() -> None:
        lane = Lane(
            Place("main", "m"), lambda _, some: sent.append([one.asked.id for one in some]), 0.01, most=3
        )
        for name, size in (("a", 1), ("b", 1), ("c", 1), ("d", 2 * BYTES), ("e", BYTES), ("f", 1)):
            answer = asyncio.get_running_loop().create_future()
            lane.put(Waiting(Asked(name, 0, "", False, [1]), lane.place, answer, 0.0, size=size))
        assert lane.drop("f")
        assert not lane.drop("f")
        while len(sent) < 3:
            await asyncio.sleep(0.001)

    asyncio.run(asyncio.wait_for(fill(), 5))
    assert sent == [["a", "b", "c"], ["d"], ["e"]]


def test_messages_are_fewer_where_a_call_takes_long():
    lane = Lane(Place("main", "m"), lambda *_: None, 0.005, least_pace=0.005)
    for seconds, pace in ((None, 0.005), (0.01, 0.005), (1.0, 0.02), (60.0, 0.025)):
        lane.tune(seconds, 8, 1)
        assert (lane.pace, lane.most) == (pace, 8)


class StoppedLoop(asyncio.SelectorEventLoop):
    """A loop whose time passes only when a test says so."""

    now = 0.0

    def time(self) -> float:
        return self.now

    async def passes(self, seconds: float) -> None:
        self.now += seconds
        for _ in range(3):  # what is due becomes ready, and runs
            await asyncio.sleep(0)


def test_the_next_message_waits_until_workers_have_taken_the_one_before_but_not_for_long():
    sent: list[list[str]] = []

    async def fill() -> None:
        loop = asyncio.get_running_loop()

        def send(lane: Lane, some: Sequence[Waiting]) -> None:
            sent.append([one.asked.id for one in some])
            lane.inflight.add(f"m{len(sent)}", {one.asked.id: one for one in some}, 0.0)

        def put(name: str) -> None:
            lane.put(Waiting(Asked(name, 0, "", False, [1]), lane.place, loop.create_future(), 0.0))

        lane = Lane(Place("main", "m"), send, 0.001)
        put("a")
        await loop.passes(0.01)
        put("b")
        await loop.passes(0.005)
        put("c")
        assert sent == [["a"]]
        lane.inflight.took("m1", "w", 0.0)
        lane.taken()
        assert sent == [["a"], ["b", "c"]]
        put("d")
        await loop.passes(SLOWEST - 0.001)
        assert len(sent) == 2
        await loop.passes(0.002)
        assert sent[2:] == [["d"]]  # nobody took the message before it
        assert lane.inflight.untaken == 2

    with asyncio.Runner(loop_factory=StoppedLoop) as runner:
        runner.run(fill())


class SlowRedis:
    """Takes no push before it may; counts those that wait at the same time."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.waiting = self.most = 0
        self.pushed: list[int] = []  # messages of each push

    def register_script(self, _: str) -> None:
        return None

    async def execute_command(self, _: str, __: str, *data: bytes) -> None:
        self.waiting += 1
        self.most = max(self.most, self.waiting)
        await self.go.wait()
        self.waiting -= 1
        self.pushed.append(len(data))


def test_a_burst_leaves_by_one_connection_however_many_messages_it_makes():
    async def burst() -> SlowRedis:
        client = SlowRedis()
        producer = Producer(client, "main", pace=0.001)
        entry = Entry("m", {"1": Source("callable", "x")}, "1")
        worker = WorkerState("w", "h", 1, 1000, 0, 1.0, 0.1, {"1": "ready"})
        producer.views["m"], producer.reachable = View(entry, {"w": worker}), True
        for _ in range(3):
            for _ in range(100):
                producer.ask(entry, "", False, [1], size=BYTES)
            await asyncio.sleep(0.05)
        client.go.set()
        while sum(client.pushed) < 300:
            await asyncio.sleep(0.001)
        return client

    client = asyncio.run(asyncio.wait_for(burst(), 5))
    assert client.most == 1
    assert len(client.pushed) == 2  # what came while the first one waited left together


# -- versions in memory


class Memory:
    """Loads and counts what is alive."""

    def __init__(self) -> None:
        self.loads: list[str] = []
        self.go = threading.Event()
        self.go.set()

    def __call__(self, source: Source):
        self.go.wait(5)
        if source == THREE:
            raise ModelFault("three is broken.")
        self.loads.append(source.path)
        return type("M", (), {"predict": lambda _, xs: xs})()


def until(condition) -> None:
    limit = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < limit
        time.sleep(0.002)


def test_the_old_version_answers_until_the_new_one_is_loaded_and_then_is_released():
    memory = Memory()
    held = Held(memory)
    held.settle(entry())
    memory.go.clear()
    held.want(entry().promoted("2"))
    until(lambda: held.states() == {"1": "ready", "2": "loading"})
    with held.use("", False) as found:
        assert found.version == "1"
        memory.go.set()
        until(lambda: held.states() == {"2": "ready"})
        with held.use("", False) as new:
            assert new.version == "2"
        assert found.model is not None  # it is in use
    until(lambda: found.model is None)


def test_a_version_that_cannot_be_loaded_is_told_and_the_old_one_goes_on():
    held = Held(Memory())
    held.settle(entry())
    held.want(entry().promoted("3"))
    until(lambda: held.states().get("3") == "three is broken.")
    with held.use("", False) as found:
        assert found.version == "1"
    with pytest.raises(ModelFault, match=r"^three is broken\.$"):
        Held(Memory()).settle(entry().promoted("3"))


def test_a_version_of_a_split_that_is_gone_is_answered_for_by_the_live_one_but_not_a_pinned_one():
    held = Held(Memory())
    held.settle(entry())
    with held.use("2", pinned=False) as found:
        assert found.version == "1"
    with pytest.raises(NotHeld), held.use("2", pinned=True):
        pass


def test_a_model_that_nobody_serves_any_more_is_released():
    held = Held(Memory())
    held.settle(entry())
    held.want(Entry("delays"))
    until(lambda: held.states() == {})


# -- slots


def work(name: str, count: int, version: str = "") -> Work:
    return Work(Asked(name, 0, version, False, list(range(count))), "p")


def test_a_slot_takes_what_waits_up_to_a_whole_batch_of_one_version():
    groups, first, rest = [], threading.Event(), threading.Event()

    def call(parts):
        groups.append([part.work.asked.id for part in parts])
        if len(groups) == 1:
            first.set()
            rest.wait(5)

    slots = Slots(1, call, lambda: 4)
    slots.put(parts_of(work("a", 1), 4), lambda: None)
    first.wait(5)
    for name, count, version in (("b", 2, ""), ("c", 2, ""), ("d", 1, ""), ("e", 1, "2")):
        slots.put(parts_of(work(name, count, version), 4), lambda: None)
    rest.set()
    assert slots.drain(5)
    slots.close()
    assert groups == [["a"], ["b", "c"], ["d"], ["e"]]


def test_slots_work_at_the_same_time_and_are_threads_only_when_needed():
    slots = Slots(50, lambda parts: time.sleep(0.05), lambda: 1)
    began = time.monotonic()
    slots.put([part for i in range(50) for part in parts_of(work(str(i), 1), 1)], lambda: None)
    assert slots.drain(5)
    assert time.monotonic() - began < 2.0  # one after the other: 2.5 s
    assert 0.04 < slots.seconds < 2.0
    slots.close()


def test_a_message_is_taken_at_once_where_slots_are_free_for_all_of_it_else_with_its_last_part():
    rest, taken = threading.Event(), []
    slots = Slots(2, lambda parts: rest.wait(5), lambda: 1)
    slots.put(parts_of(work("a", 1), 1), lambda: taken.append("a"))
    assert taken == ["a"]
    slots.put(parts_of(work("b", 3), 1), lambda: taken.append("b"))
    assert taken == ["a"]
    rest.set()
    assert slots.drain(5)
    slots.close()
    assert taken == ["a", "b"]


def test_calls_are_counted_as_slots_will_make_them():
    parts = [
        part
        for name, count, version in (("a", 3, ""), ("b", 1, ""), ("c", 1, "2"), ("d", 6, "2"))
        for part in parts_of(work(name, count, version), 4)
    ]
    assert groups_of(parts, 4) == 4  # a and b; c; d's first four; its other two
    assert groups_of([], 4) == 0


def test_a_large_request_is_cut_into_parts():
    parts = parts_of(work("a", 10), 4)
    assert [(part.start, len(part.instances)) for part in parts] == [(0, 4), (4, 4), (8, 2)]


# -- results


def test_answers_are_compared_by_their_numbers():
    assert difference([1.0, 2.0], [1.0, 2.0 + 1e-9]) == 0.0
    assert difference([1.0, [2.0]], [2.0, [4.0]]) == 1.5
    assert difference(["a"], ["a"]) == 0.0
    assert difference(["a"], ["b"]) == math.inf
    assert difference([1], [1, 2]) == math.inf


def test_results_are_read_a_version_each():
    found = read(
        {b"1 answered": b"100", b"1 t3": b"98", b"1 t9": b"2", b"2 compared": b"4", b"2 difference": b"2"}
    )
    assert (found[0].version, found[0].answered, found[0].p50, found[0].p99) == ("1", 100, 0.008, 0.512)
    assert (found[1].compared, found[1].difference) == (4, 0.5)
