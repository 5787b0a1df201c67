"""The gate under every fault: the real code of submission, runs, keepers and retries, ended and mixed at any call.

Hypothesis decides who makes its next call to Redis, which messages are lost, doubled or early, who dies where and
when time passes. After each step the invariants of `pipeline.gate.gate` must hold, and in the end the wave must end.
"""

from __future__ import annotations

import ast
import itertools
import os
import random
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from redis import Redis
from redis.exceptions import RedisError

from pipeline import Flow, State, Wave, submit_wave, task
from pipeline.errors import UnreachableError, WaveError
from pipeline.execution import attempt, slices
from pipeline.execution.runner import Runner
from pipeline.execution.tools import Tools
from pipeline.flows.discover import Flows
from pipeline.gate import gate as gate_module
from pipeline.gate import scripts
from pipeline.gate import status as statuses
from pipeline.gate.answers import Receipt
from pipeline.gate.gate import WAVE_UNIT, Gate
from pipeline.gate.keys import DEADLINES, wave_key
from pipeline.gate.records import Records
from pipeline.gate.scripts import READY_MS
from pipeline.gate.units import Unit
from pipeline.gate.wave_spec import WaveSpec
from pipeline.messaging.canvas import Canvas, Message
from pipeline.settings import Settings
from pipeline.store import MemoryStore
from pipeline.waves.keeper import Keeper, finish
from pipeline.waves.runtime import Runtime
from tests.support.actors import Actor, SteppedRedis, die, stepped

LEASE = 30.0
DATE = "2026-03-01T00"
CLOCK = "test clock"
EXAMPLES = int(os.environ.get("GATE_EXAMPLES", "60"))
STEPS = int(os.environ.get("GATE_STEPS", "50"))
# Of the first batch of examples; in CI the same each time.
SEED = int(os.environ.get("GATE_SEED") or (0 if os.environ.get("CI") else random.randrange(1_000_000)))
BATCH = 20  # examples of one seed: so many are run again to see a failure again
SECONDS = max(60, EXAMPLES)  # after which no further batch is begun; an example takes about 0.4 s

CALLS = st.sampled_from([0, 1, 1, 2, 2, 3, 3, 4, 5, 7, 12])  # at a stretch; most runs of a unit make 4 to 8
FAULTS = st.sampled_from([None, None, "repeated", "cut"])

shops = State("shops", partition_by="city")


@task
def seen(entity: str) -> str | None:
    if entity.startswith("poison"):
        die()
    if entity.startswith("bad"):
        raise ValueError("bad")
    return None if entity.startswith("none") else f"{entity} {time.monotonic_ns()}"


@task
def known(entity: str) -> int:
    return time.monotonic_ns()


@task(timeout="1m")
def left(seen: str | None = None) -> int:
    return time.monotonic_ns()


@task(timeout="1m")
def right(seen: str, known: int | None = None) -> int:
    return time.monotonic_ns()


@task(timeout="3m")
def met(left: int, right: int | None = None) -> int:
    return time.monotonic_ns()


@task(per="partition", timeout="4m")
def city(met: Any) -> int:
    for _ in met:
        pass
    return time.monotonic_ns()


@task(per="wave", timeout="6m")
def country(city: Any) -> int:
    return time.monotonic_ns()


@task(timeout="9m")
def told(known: int, city: int | None = None, country: int | None = None) -> int:
    return time.monotonic_ns()


FLOWS = [
    Flow("diamond", [seen, known, left, right, met], state=shops),
    Flow("scoped", [seen, left, known, right, met, city, country, told], state=shops),
    Flow("single", [seen], state=shops),
]


def raw(client: SteppedRedis) -> Redis:
    """The same server by a client whose calls are no steps."""
    return Redis(connection_pool=client.connection_pool)


class Watched(Gate):
    """A gate that notes to whom it grants what, and whose reports it takes."""

    def __init__(self, client: SteppedRedis) -> None:
        super().__init__(client, now=f"return tonumber(redis.call('GET', '{CLOCK}'))")
        self.granted: dict[tuple[Unit, int], object] = {}
        self.finals: defaultdict[Unit, set[int]] = defaultdict(set)
        self.resets: Counter[Unit] = Counter()
        self.before: dict[str, str] = {}
        self.after: dict[str, str] = {}

    def _run(self, script: str, keys: Any, args: Any) -> Any:
        """Note how all units stood before and after each change; nobody else runs between the two."""
        try:
            return super()._run(script, keys, args)
        finally:  # a call whose answer was cut off has changed them too
            if script != "due" and keys:
                with raw(self._client) as client:
                    found = client.hgetall(f"{keys[0]} units")
                self.before = self.after
                self.after = {unit.decode(): record.decode() for unit, record in found.items()}

    def claim(self, wave_id: str, unit: Unit, **options: Any) -> Any:
        claim, me = super().claim(wave_id, unit, **options), object()
        if claim.granted:
            assert self.granted.setdefault((unit, claim.attempt), me) is me, "granted to two"
            _, state, _, _, lease, *_ = self.before.get(str(unit), "1 pending 0 0 0").split(" ")
            with raw(self._client) as client:
                assert state == "pending" or int(lease) <= int(client.get(CLOCK)), (
                    "granted while another holds it"
                )
        return claim

    def report(self, wave_id: str, unit: Unit, attempt: int, **options: Any) -> Receipt:
        receipt = super().report(wave_id, unit, attempt, **options)
        if receipt.ok and options["final"]:
            self.finals[unit].add(attempt)
            assert len(self.finals[unit]) <= self.resets[unit] + 1, "two final reports counted"
        return receipt

    def reset(self, wave_id: str, token: str, units: Iterable[tuple[Unit, int, str]]) -> bool:
        units = list(units)
        self.resets.update(unit for unit, _, _ in units)
        return super().reset(wave_id, token, units)


class Pipes(MemoryStore):
    """A store whose every call is a step: one may die between a pipe and its slot.

    `unseen` says whether nobody will look at pipes any more; `hidden` are those that were put then.
    """

    def __init__(self, unseen: Callable[[], bool]) -> None:
        super().__init__()
        self._unseen = unseen
        self.hidden: set[str] = set()

    def _add(self, keys: Any, blobs: Any, expires: int) -> list[bool]:
        def do() -> list[bool]:
            if self._unseen():
                self.hidden.update(keys)
            return super(Pipes, self)._add(keys, blobs, expires)

        return stepped(do)

    def _read(self, keys: Any) -> list[bytes | None]:
        return stepped(lambda: super(Pipes, self)._read(keys))

    def _write_slots(self, *args: Any) -> None:
        return stepped(lambda: super(Pipes, self)._write_slots(*args))


class Queue:
    """Takes the messages that are sent. A canvas brings all its tasks, in any order and however often."""

    def __init__(self) -> None:
        self.waiting: list[tuple[Unit, bool, bool]] = []  # unit, whether to follow it, alone

    def send(self, spec: WaveSpec, messages: Iterable[Message]) -> int:
        for message in messages:
            stepped(lambda message=message: self._put(spec, message))
        return 1

    def _put(self, spec: WaveSpec, message: Message) -> None:
        if isinstance(message, Canvas):
            names = spec.units.segment(message.segment)
            self.waiting += [(Unit(name, message.where), False, False) for name in names]
        else:
            self.waiting.append((message.unit, True, message.alone))


class Waves(RuleBasedStateMachine):
    """One wave, three workers, and all that can go wrong."""

    url = ""
    sliced = False  # whether each outcome is reported by itself

    @initialize(
        flow=st.sampled_from(FLOWS),
        names=st.lists(
            st.sampled_from(["fine", "bad", "none", "poison", "fine", "fine"]), min_size=2, max_size=7
        ),
        expiry=st.sampled_from([0, 0, 400]),
        sliced=st.booleans(),
        retried=st.booleans(),
        submitted=st.sampled_from([True, True, True, False]),
    )
    def begin(
        self, flow: Flow, names: list[str], expiry: int, sliced: bool, retried: bool, submitted: bool
    ) -> None:
        self.flow, self.expiry, self.retried, Waves.sliced = flow, expiry, retried, sliced
        self.entities = {f"{name}{n}": {"city": f"city{n % 2}"} for n, name in enumerate(names)}
        self.client = SteppedRedis.from_url(self.url)
        self.client.flushdb()
        self.client.set(CLOCK, int(time.time() * 1000))
        self.runtime = Runtime(Settings(redis_url=self.url, version="main", shard_size=2, shard_max=2))
        self.gate, self.queue, self.records = Watched(self.client), Queue(), Records(self.client)
        for (
            script
        ) in self.gate._scripts.values():  # else the first example would make more calls than the next
            self.client.script_load(script.script)
        self.store = Pipes(self.unseen)
        self.runtime.__dict__.update(
            client=self.client, gate=self.gate, sender=self.queue, records=self.records, store=self.store
        )
        self.actors: list[Actor] = []
        self.owners = ["one", "two", "three"]
        self.wave: Wave | None = None
        if submitted:
            self.start(self.submit).finish()
            self._settle()

    # -- those who act

    def runner(self, owner: str) -> Runner:
        tools = Tools(self.gate, self.records, self.store, None, None)
        return Runner(tools, Flows([self.flow]), owner, LEASE)

    def run_unit(self, message: tuple[Unit, bool, bool], owner: str) -> Actor:
        """What a worker does with a message: see `pipeline.workers.worker.run`."""
        unit, follow, alone = message
        wave_id = self.wave.id

        def run() -> None:
            try:
                ran = self.runner(owner).run(wave_id, unit, alone)
                finish(ran, unit, follow, self.queue, self.records)
            except (RedisError, OSError):
                with suppress(RedisError, OSError):
                    self.gate.release(owner, [(wave_id, unit)])

        return self.start(run, owner, unit)

    def start(self, do: Callable[[], Any], owner: str = "", unit: Unit | None = None) -> Actor:
        def patiently() -> None:
            with suppress(RedisError, UnreachableError, WaveError):
                do()

        actor = Actor(patiently, owner, unit)
        self.actors.append(actor)
        return actor

    def held(self, owner: str) -> list[tuple[str, Unit]]:
        return [
            (self.wave.id, actor.unit)
            for actor in self.actors
            if actor.owner == owner and actor.unit is not None and not actor.killed
        ]

    def submit(self) -> None:
        submit_wave(self.flow, DATE, entities=self.entities, expiry=self.expiry, runtime=self.runtime)

    # -- what can happen

    def _now(self) -> int:
        return int(self.client.get(CLOCK))

    def _found(self) -> bool:
        if self.wave is None:
            ids = self.records.ids()
            self.wave = Wave.find(ids[0], self.runtime) if ids else None
        return self.wave is not None

    def _settle(self) -> None:
        """Forget who has ended; tell of children that died in the code of a task, as their parent does."""
        for actor in self.actors:
            if actor.killed and not actor.ended:
                actor.finish()
        self.actors = [actor for actor in self.actors if not actor.ended]

    def go_on(self, actor: Actor, calls: int, fault: str | None) -> None:
        """Let somebody make some calls, of which the last one meets a fault."""
        actor.step(calls)
        actor.fault = fault
        actor.step()
        self._settle()

    # Few rules, so that what matters most happens often: hypothesis takes each as often as another.

    @rule(
        n=st.integers(0, 20),
        worker=st.integers(0, 2),
        copies=st.sampled_from([1, 1, 1, 2, 0]),
        calls=CALLS,
        fault=FAULTS,
    )
    @precondition(lambda self: len(self.actors) < 8 and self._found())
    def a_message_comes(self, n: int, worker: int, copies: int, calls: int, fault: str | None) -> None:
        """Once, or it stays in the queue to come again, or it is lost. If there is none, one that was lost comes."""
        messages = self.queue.waiting or [(unit, True, False) for unit in self.wave.spec.units]
        message = messages[n % len(messages)]
        if copies < 2 and self.queue.waiting:
            messages.remove(message)
        if copies:
            self.go_on(self.run_unit(message, self.owners[worker]), calls, fault)

    @rule(n=st.integers(0, 7), calls=CALLS, fault=FAULTS)
    @precondition(lambda self: self.actors)
    def somebody_goes_on(self, n: int, calls: int, fault: str | None) -> None:
        self.go_on(self.actors[n % len(self.actors)], calls, fault)

    @rule(
        n=st.integers(0, 7),
        worker=st.integers(0, 2),
        alone=st.booleans(),
        late=st.booleans(),
        calls=CALLS,
        fault=FAULTS,
    )
    @precondition(lambda self: len(self.actors) < 8 and any(actor.unit for actor in self.actors))
    def what_runs_comes_again(
        self, n: int, worker: int, alone: bool, late: bool, calls: int, fault: str | None
    ) -> None:
        """While its lease holds, as after a cut connection; or when it is over and nobody has renewed it."""
        running = [actor.unit for actor in self.actors if actor.unit is not None]
        if late:
            self.client.incrby(CLOCK, int(LEASE * 1000) + 1)
        again = self.run_unit((running[n % len(running)], True, alone), self.owners[worker])
        self.go_on(again, calls, fault)

    @rule(
        n=st.integers(0, 7),
        how=st.sampled_from(
            ["silently", "silently", "drop", "hang", "with its worker", "with its worker, released"]
        ),
    )
    @precondition(lambda self: self.actors)
    def somebody_dies(self, n: int, how: str) -> None:
        """A child, of which its parent tells (`drop`, or `hang` at its time limit), or a whole worker."""
        actor = self.actors[n % len(self.actors)]
        if how.startswith("with") and actor.owner in self.owners:
            if how.endswith("released"):
                self.gate.release(actor.owner, self.held(actor.owner))
            for other in self.actors:
                if other.owner == actor.owner:
                    other.kill()
            self.owners[self.owners.index(actor.owner)] += "'"
        else:
            actor.kill()
            if how in ("drop", "hang") and actor.unit is not None:
                getattr(self.gate, how)(actor.owner, [(self.wave.id, actor.unit)])
        self._settle()

    @rule(
        seconds=st.sampled_from([0, 0, 1, 6, 11, 20, 31, 61, 181, 306]),
        renewing=st.lists(st.integers(0, 2), unique=True),
        who=st.sampled_from(["keeper"] * 4 + ["retrier"] * 2 + ["submitter", "canceller"]),
        calls=st.sampled_from([0, 1, 2, 3, 4, 6, 8, 10, 15, 20, 100]),
        fault=FAULTS,
    )
    @precondition(lambda self: len(self.actors) < 8)
    def time_passes_and_somebody_acts(
        self, seconds: int, renewing: list[int], who: str, calls: int, fault: str | None
    ) -> None:
        """Some workers renew their leases, before or after they are over; then a keeper or a person comes."""
        self.client.incrby(CLOCK, seconds * 1000)
        found = self._found()
        for worker in renewing if found else ():
            self.gate.renew(self.owners[worker], LEASE, self.held(self.owners[worker]))
        do = {"keeper": self.keep, "submitter": self.submit}.get(who)
        if do is None and found:
            do = self.wave.cancel if who == "canceller" else self.wave.retry
        self.go_on(self.start(do or self.submit), calls, fault)

    def keep(self) -> None:
        Keeper(self.runner("keeper"), self.queue, lambda: ()).tick()

    # -- what must always be true

    @invariant()
    def counts_are_those_of_the_statuses(self) -> None:
        if self._found():
            units = list(self.wave.spec.units)
            found: dict[str, Counter[str]] = {name: Counter() for name in self.flow.tasks}
            for unit, chars in zip(units, self.records.statuses(self.wave.id, units), strict=True):
                found[unit.task].update(c for c in chars if c != statuses.PENDING_CHAR)
            for name, counts in self.records.counts(self.wave.id).items():
                told = {char: n for char, n in counts.items() if char != "us" and n}
                assert told == found.pop(name)
            assert not any(found.values())

    @invariant()
    def open_is_what_is_not_done_and_all_of_it_is_covered(self) -> None:
        if not self._found() or self.wave.info().state == "closed":
            return
        units, info = self.wave.spec.units, self.wave.info()
        done = {unit for unit, found in self.records.conditions(self.wave.id).items() if found.name == "done"}
        waiting = [unit for unit in units if unit not in done]
        assert info.open == len(waiting)
        scores = self.deadlines()
        assert WAVE_UNIT in scores
        if info.state == "submitting":
            return  # what has no deadline yet gets one from the keeper that looks at the wave
        covered: dict[Unit, bool] = {}
        for unit in waiting:
            if self.ready(unit):
                assert scores[unit] <= self._now() + READY_MS, f"{unit} is ready and waits"
            covered[unit] = unit in scores or any(covered.get(i, False) for i in units.inputs(unit))
            assert covered[unit], f"nobody will ever look at {unit}"

    def ready(self, unit: Unit) -> bool:
        """Whether it waits for nobody and was not sent again yet, which is done more and more seldom."""
        key = wave_key(self.wave.id)
        raw = self.client.hget(f"{key} units", str(unit))
        _, state, _, need, *_ = (
            raw.decode().split(" ") if raw else (1, "pending", 0, self.wave.spec.units.need(unit))
        )
        return state == "pending" and int(need) == 0 and not self.client.hexists(f"{key} resends", str(unit))

    def deadlines(self) -> dict[Unit, int]:
        found = {}
        for member, score in self.client.zrange(DEADLINES, 0, -1, withscores=True):
            name, where = member.decode().rsplit(" ", 2)[1:]
            found[Unit(name, where)] = int(score)
        return found

    @invariant()
    def what_is_finished_has_its_pipe(self) -> None:
        if not self._found():
            return
        date = self.wave.date
        for name in self.flow.tasks:
            if self.flow.tasks[name].per is not None:
                continue
            keys = [k for k, s in self.wave.statuses(name).items() if s.status == "finished" and s.observed]
            assert MemoryStore.get(self.store, "main", name, date, keys).keys() == set(keys)

    def unseen(self) -> bool:
        """Whether the wave has ended and no keeper will look at it."""
        with raw(self.client) as client:
            state = client.hget(wave_key(self.wave.id), "state") if self.wave else None
            return state == b"closed" and client.zscore(DEADLINES, f"{self.wave.id} {WAVE_UNIT}") is None

    # -- the end

    def teardown(self) -> None:
        if not hasattr(self, "actors"):
            return
        try:
            self.let_everything_run()
            if self.retried:
                self.start(self.wave.retry).finish()
                self.let_everything_run()
        finally:
            for actor in self.actors:
                actor.kill()
            self.client.close()

    def let_everything_run(self) -> None:
        for actor in self.actors:
            actor.finish()
        self._settle()
        self.start(self.submit).finish()
        assert self._found()
        for _ in range(3000):
            if self.queue.waiting:
                message = self.queue.waiting.pop(0)
                actor = self.run_unit(message, "last")
                actor.finish()
                if actor.killed:
                    self.gate.drop("last", [(self.wave.id, actor.unit)])
            elif scores := self.deadlines():
                self.client.set(CLOCK, max(self._now(), min(scores.values())))
                self.start(self.keep).finish()
            else:
                break
            self._settle()
        self.check_the_end()

    def check_the_end(self) -> None:
        info, progress = self.wave.info(), self.wave.progress()
        assert info.state == "closed"
        assert not self.deadlines()
        assert (
            progress.ended
            == progress.total
            == sum(sum(counts.values()) for counts in progress.tasks.values())
        )
        for name in self.flow.tasks:
            found = self.wave.statuses(name)
            assert {s.status for s in found.values()} <= {"finished", "failed", "skipped"}
            if self.flow.tasks[name].per is None:
                assert set(found) == set(self.entities)
            self.check_pipes(name, found)
        if info.reason == "done":
            assert info.open == 0
            units = list(self.wave.spec.units)
            assert not any(statuses.PENDING_CHAR in s for s in self.records.statuses(self.wave.id, units))

    def check_pipes(self, name: str, found: dict[str, Any]) -> None:
        """What a status says is what the pipe says, and the window; but for who put it last of all, and died then."""
        keys = [key for key in found if f"main/{name} {key} {DATE}" not in self.store.hidden]
        stored = self.store.get("main", name, DATE, keys)
        finished = {key for key in keys if found[key].status == "finished" and found[key].observed}
        assert finished == stored.keys(), name
        assert not finished & self.wave.errors(name).get(name, {}).keys()
        if name != "seen" and keys:
            (window,) = self.store.window("main", name, DATE, 1, keys).tolist()
            assert {k: v for k, v in zip(keys, window, strict=True) if v == v} == stored


class SlicesAtOnce(slices.Slices):
    """Reports after each outcome instead of each second, in the thread that runs."""

    def add(self, outcome: Any) -> None:
        super().add(outcome)
        if Waves.sliced and self.settle() and not self._report():
            self.refused = True


@pytest.mark.timeout(SECONDS + 60)
def test_a_wave_always_ends_and_counts_everything_once(redis_url, monkeypatch):
    monkeypatch.setattr(slices, "SLICE_SECONDS", 3600.0)
    monkeypatch.setattr(attempt, "Slices", SlicesAtOnce)
    Waves.url = redis_url
    began, done = time.monotonic(), 0
    while done < EXAMPLES and time.monotonic() - began < SECONDS:
        examples, number = min(BATCH, EXAMPLES - done), SEED + done // BATCH
        try:
            run_examples(number, examples)
        except BaseException as error:
            error.add_note(f"To see it again: GATE_SEED={number} GATE_EXAMPLES={examples} GATE_STEPS={STEPS}")
            raise
        done += examples
    print(f"{done} of {EXAMPLES} examples, seeds {SEED} to {number}")


def run_examples(number: int, examples: int) -> None:
    """Run so many examples of a seed. What fails is shown as it was found: to shrink it takes minutes."""
    run_state_machine_as_test(
        seed(number)(Waves),
        settings=settings(
            max_examples=examples,
            stateful_step_count=STEPS,
            phases=[Phase.generate],
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            print_blob=True,
        ),
    )


@pytest.fixture
def gate(redis_client) -> Gate:
    """A gate with a wave of one unit, `a 0`, of three entities, for which `b 0` waits."""
    gate = Gate(redis_client)
    redis_client.hset("shards", "0", "[]")
    gate.create("w", "shards", {}, 2, [Unit("a", "0")], 0, 60)
    return gate


def claim(gate: Gate, name: str, **options: Any) -> Any:
    return gate.claim(
        "w", Unit(name, "0"), need=0, timeout=60, lease=30, limit=300, owner="me", waiting={}, **options
    )


def report(gate: Gate, now: str, before: str, final: bool = False) -> Receipt:
    counts = {("B", "R"): sum(n != b for n, b in zip(now, before, strict=True))}
    return gate.report(
        "w",
        Unit("a", "0"),
        1,
        statuses=now,
        late_statuses=now,
        before=before,
        counts=counts,
        errors={},
        dependents=[(Unit("b", "0"), 1)],
        took=0.0,
        final=final,
    )


def test_a_claim_whose_answer_was_lost_is_granted_again_to_who_made_it(gate, monkeypatch):
    monkeypatch.setattr(gate, "_tokens", itertools.repeat(1))  # as if the client sent the same once more
    assert claim(gate, "a").attempt == 1
    assert claim(gate, "a").attempt == 1
    monkeypatch.setattr(gate, "_tokens", itertools.repeat(2))
    assert claim(gate, "a").answer == "held"


def test_a_report_whose_answer_was_lost_counts_once_and_still_tells_what_became_ready(gate, redis_client):
    claim(gate, "a")
    for _ in range(2):
        assert report(gate, "BB@", "@@@").answer == "ok"
    for _ in range(2):
        assert report(gate, "BBB", "BB@", final=True).ready == (Unit("b", "0"),)
    counts = redis_client.hgetall("wave:w counts")
    assert int(counts[b"a B"]) == 3
    assert redis_client.hget("wave:w", "open") == b"1"


def test_who_dies_is_suspected_and_who_hangs_is_left_to_a_keeper(redis_client):
    gate = Gate(redis_client, f"return tonumber(redis.call('GET', '{CLOCK}'))")
    start = 4_000_000_000_000
    redis_client.set(CLOCK, start)
    redis_client.hset("shards", "0", "[]")
    gate.create("w", "shards", {}, 2, [Unit("a", "0"), Unit("b", "0")], 0, 60)
    held = [("w", Unit("a", "0")), ("w", Unit("b", "0"))]
    for name in ("a", "b"):
        assert claim(gate, name).granted
    gate.drop("somebody else", held)
    gate.hang("me", held)  # long before their time limit
    assert [claim(gate, name).answer for name in ("a", "b")] == ["held", "held"]

    gate.drop("me", held[:1])
    redis_client.set(CLOCK, start + 10_000)
    gate.renew("me", 600, held)
    redis_client.set(CLOCK, start + 299_000)
    gate.hang("me", held)
    assert [claim(gate, name).answer for name in ("a", "b")] == ["granted", "overdue"]
    assert claim(gate, "b", mode="seize").granted
    found, _ = Records(redis_client).incidents("w")
    assert [(i.kind, str(i.unit)) for i in found] == [("died", "a 0"), ("hung", "b 0")]
    assert redis_client.hget("wave:w units", "a 0").endswith(b" 2")  # of three, from which it runs alone


def test_what_nobody_takes_is_an_incident_once(redis_client):
    gate = Gate(redis_client, f"return tonumber(redis.call('GET', '{CLOCK}'))")
    start = 4_000_000_000_000  # far from now, so that no key's end has come by Redis' own clock
    redis_client.set(CLOCK, start)
    redis_client.hset("shards", "0", "[]")
    gate.create("w", "shards", {}, 1, [Unit("a", "0")], 0, 60)
    gate.open("w")
    sent = 0
    for second in range(1, 121):
        redis_client.set(CLOCK, start + 1000 * second)
        sent += len(gate.due())
    found, untold = Records(redis_client).incidents("w")
    assert sent == 4  # 5, 15, 35 and 75 s after it was ready
    assert [(i.kind, i.at, str(i.unit)) for i in found] == [("untaken", start / 1000 + 35, "a 0")]
    assert untold == 0


def test_a_wave_without_an_expiry_is_forgotten_its_ttl_after_its_end_and_kept_while_it_is_open(
    gate, redis_client
):
    year = 365 * 86_400_000
    keys = ["wave:w", "wave:w shards", "wave:w units"]
    claim(gate, "a")
    assert all(redis_client.pttl(key) > year for key in keys)
    gate.close("w", "cancelled", [Unit("a", "0")])
    assert all(0 < redis_client.pttl(key) <= 60_000 for key in keys)
    token = gate.begin("w")
    assert gate.reset("w", token, [(Unit("a", "0"), 0, "@@@")])
    assert gate.reopen("w", token, 0, 1, [Unit("a", "0")])
    assert all(redis_client.pttl(key) > year for key in keys)
    assert redis_client.zscore("waves", "w") == int(redis_client.hget("wave:w", "gone"))


def test_incidents_beyond_a_thousand_are_only_counted(gate, redis_client):
    for _ in range(1003):
        claim(gate, "a")
        gate.release("me", [("w", Unit("a", "0"))])
    found, untold = Records(redis_client).incidents("w")
    assert (len(found), untold) == (1000, 3)
    assert redis_client.pttl("wave:w incidents") > 0


def test_no_client_ever_tells_the_gate_the_time():
    """So that no worker's clock can be wrong."""
    imported = {
        alias.name if isinstance(node, ast.Import) else node.module
        for module in (gate_module, scripts)
        for node in ast.walk(ast.parse(Path(module.__file__).read_text()))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    assert not imported & {"time", "datetime"}
