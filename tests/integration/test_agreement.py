"""Status, pipe, window, result and dependents agree, whatever died at which call and in whatever order."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.exceptions import RedisError

from pipeline import Flow, State, Wave, submit_wave, task
from pipeline.errors import StoreError, UnknownName
from pipeline.execution.runner import Runner
from pipeline.execution.tools import Tools
from pipeline.flows.discover import Flows
from pipeline.gate.flow_totals import read_totals
from pipeline.gate.gate import Gate
from pipeline.gate.keys import DEADLINES
from pipeline.gate.records import Records
from pipeline.gate.scripts import AGAIN_MS
from pipeline.gate.units import Unit
from pipeline.settings import Settings
from pipeline.store import ClusterStore
from pipeline.waves.keeper import Keeper
from pipeline.waves.runtime import Runtime
from tests.support.actors import Actor, SteppedRedis

CLOCK, START = (
    "test clock",
    4_000_000_000_000,
)  # far from now, so that no key's end has come by Redis' own clock
DATE = "2026-03-01T00"
LEASE = 30.0
CALLS = range(12)  # a run of one unit makes no more
VALUES = {"level": 1.0, "made": 5.0, "pooled": 7.0, "shared": 3.0, "district": 2.0}
answers: dict[str, Any] = {}  # task -> what it returns, or raises, at the moment


def answer(name: str) -> Any:
    if isinstance(answers[name], Exception):
        raise answers[name]
    return answers[name]


@task
def level(entity: str) -> float | None:
    return answer("level")


@task(time_limit="5m")
def made(level: float) -> float | None:
    return answer("made")


@task(batch=True)
def pooled(made: dict[str, float]) -> dict[str, float | None]:
    return dict.fromkeys(made, answer("pooled"))


@task(per="wave", batch=True)
def shared(made: Any) -> dict[str, float] | None:
    value = answer("shared")
    return None if value is None else {key: value for chunk in made for key in chunk}


@task(per="partition")
def district(made: Any) -> float | None:
    return answer("district")


flow = Flow("agreeing", [level, made, pooled, shared, district], state=State("shops"))


class Nobody:
    """Takes messages for nobody: the tests run units themselves."""

    def send(self, *_: Any) -> int:
        return 0


class Stage:
    """Waves on a real Redis, by a clock of the test's. Each call to Redis is a step of the actor that makes it."""

    def __init__(self, url: str) -> None:
        self.client = SteppedRedis.from_url(url)
        self.store = ClusterStore(self.client)
        self.runtime = self.process()
        self.clear()

    def process(self) -> Runtime:
        """What another process would have: it remembers nothing of this one."""
        runtime = Runtime(Settings(version="main", shard_size=5, shard_max=5))
        gate = Gate(self.client, now=f"return tonumber(redis.call('GET', '{CLOCK}'))")
        parts = {"client": self.client, "gate": gate, "sender": Nobody(), "store": self.store}
        runtime.__dict__.update(parts, records=Records(self.client))
        return runtime

    def clear(self) -> None:
        """Lose all that Redis holds."""
        self.client.flushdb()
        self.client.set(CLOCK, START)
        answers.update(VALUES)

    def submit(self, entities: Any = ("a", "b"), **options: Any) -> Wave:
        return submit_wave(flow, DATE, entities=entities, runtime=self.runtime, **options)

    def runner(self, owner: str = "me", store: Any = None) -> Runner:
        its = self.runtime
        return Runner(
            Tools(its.gate, its.records, store or its.store, None, None), Flows([flow]), owner, LEASE
        )

    def run(self, wave: Wave, name: str, owner: str = "me", store: Any = None) -> str:
        return self.runner(owner, store).run(wave.id, unit_of(wave, name)).answer

    def start(self, wave: Wave, name: str, owner: str) -> Actor:
        """Begin a run that goes on call by call."""

        def run() -> None:
            with suppress(RedisError):
                self.run(wave, name, owner)

        return Actor(run)

    def later(self, seconds: float) -> None:
        self.client.incrby(CLOCK, int(seconds * 1000))

    def keep(self, store: Any = None) -> None:
        Keeper(self.runner("keeper", store), Nobody(), lambda: ()).tick()

    def close(self, wave: Wave) -> None:
        """Cancel the wave, and let a keeper look once more."""
        wave.cancel()
        self.later(AGAIN_MS / 1000)
        self.keep()
        assert not self.client.zcard(DEADLINES)


def unit_of(wave: Wave, name: str) -> Unit:
    return next(unit for unit in wave.spec.units if unit.task == name)


@pytest.fixture
def stage(redis_url: str) -> Iterator[Stage]:
    found = Stage(redis_url)
    yield found
    found.client.connection_pool.disconnect()


def check(stage: Stage, wave: Wave, name: str) -> dict[str, str]:
    """Everything says the same of a task's entities; returns their statuses."""
    statuses = wave.statuses(name)
    finished = {key for key, s in statuses.items() if s.status == "finished" and s.observed}
    keys = ["a", "b"] if name == "shared" else list(statuses)
    stored = stage.store.get("main", name, DATE, keys)
    if name == "shared":  # it runs once for all, and makes a pipe for each
        assert bool(finished) == bool(stored), statuses
    else:
        assert finished == stored.keys(), statuses
    for base in (None, "base"):
        (window,) = stage.store.window("main", name, DATE, 1, keys, base).tolist()
        shown = {k: v for k, v in zip(keys, window, strict=True) if not math.isnan(v)}
        assert (shown if base is None else {k: shown[k] for k in stored}) == stored
    for key in keys:
        if key in stored:
            assert wave.result(name, key) == stored[key]
        else:
            with pytest.raises(UnknownName):
                wave.result(name, key)
    assert not finished & wave.errors(name).get(name, {}).keys()
    texts = {key: str(s) for key, s in statuses.items()}
    counted = list(texts.values())
    assert wave.progress().tasks[name] == {text: counted.count(text) for text in counted}
    return texts


# -- how a unit may come to its end when its first run is lost


def fails(stage: Stage, wave: Wave, name: str) -> Callable[[], Any]:
    answers[name] = ValueError("not again")
    return lambda: stage.run(wave, name)


def makes_no_observation(stage: Stage, wave: Wave, name: str) -> Callable[[], Any]:
    answers[name] = None
    return lambda: stage.run(wave, name)


def misses_its_input(stage: Stage, wave: Wave, name: str) -> Callable[[], Any]:
    before = "level" if name == "made" else "made"
    stage.client.delete(*(f"main/{before} {key} {DATE}" for key in ("a", "b")))
    return makes_no_observation(stage, wave, name)


def makes_another(stage: Stage, wave: Wave, name: str) -> Callable[[], Any]:
    answers[name] = 11.0
    return lambda: stage.run(wave, name)


def is_ended(stage: Stage, wave: Wave, name: str) -> Callable[[], Any]:
    unit = unit_of(wave, name)
    stage.later(3600)
    stage.runtime.gate.renew("lost", LEASE, [(wave.id, unit)])
    return lambda: stage.runner("keeper").end(wave.id, unit)


def is_closed(stage: Stage, wave: Wave, name: str) -> Callable[[], Any]:
    return wave.cancel


ENDS = [fails, makes_no_observation, misses_its_input, makes_another, is_ended, is_closed]
NAMES = ["made", "pooled", "shared", "district"]


def prepared(stage: Stage, name: str) -> Wave:
    stage.clear()
    for key in ("a", "b"):
        stage.store.put("base", name, DATE, {key: 99.0}, ttl=1)  # which is nobody's here
    wave = stage.submit()
    for before in ("level", "made"):
        if before != name:
            stage.run(wave, before)
    return wave


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.sampled_from(NAMES),
    end=st.sampled_from(ENDS),
    lost_at=st.sampled_from(CALLS),
    turns=st.lists(st.tuples(st.integers(0, 1), st.integers(1, 3)), max_size=8),
    dies=st.sampled_from(["at once", "later", "never"]),
)
def test_two_runs_of_a_unit_in_any_order_of_their_calls_leave_one_truth(
    stage, name, end, lost_at, turns, dies
):
    wave = prepared(stage, name)
    lost = stage.start(wave, name, "lost")
    lost.step(lost_at)
    if dies == "at once":
        lost.kill()
    stage.later(LEASE + 1)
    actors = [lost, Actor(end(stage, wave, name))]
    for who, calls in turns:
        actors[who].step(calls)
    if dies == "later":
        lost.kill()
    for actor in reversed(actors):
        actor.finish()
    stage.close(wave)
    check(stage, wave, name)


@pytest.mark.parametrize("end", ENDS, ids=lambda end: end.__name__)
def test_a_run_that_dies_at_any_of_its_calls_and_what_comes_after_it_leave_one_truth(stage, end):
    outcomes = set()
    for calls in CALLS:
        wave = prepared(stage, "made")
        lost = stage.start(wave, "made", "lost")
        lost.step(calls)
        lost.kill()
        stage.later(LEASE + 1)
        end(stage, wave, "made")()
        outcomes |= set(check(stage, wave, "made").values())
        stage.close(wave)
        check(stage, wave, "made")
    assert "finished" in outcomes or "finished (late)" in outcomes
    assert len(outcomes) > 1 or end is makes_another


def begun(stage: Stage, wave: Wave, name: str, owner: str) -> Actor:
    """A run that has claimed its unit, and has made no other call."""
    actor, unit = stage.start(wave, name, owner), unit_of(wave, name)
    records = stage.process().records
    while getattr(records.conditions(wave.id).get(unit), "name", "") != "running":
        actor.step()
    return actor


def put_and_lost(stage: Stage, wave: Wave, name: str = "made") -> Actor:
    """A run that has put its pipes, and not reported yet when its lease is over."""
    lost = stage.start(wave, name, "lost")
    while not stage.store.raw(f"main/{name} a {DATE}"):
        lost.step()
    stage.later(LEASE + 1)
    return lost


def test_a_refused_report_sets_what_it_has_put_to_finished_and_late_and_takes_the_text_away(stage):
    wave = prepared(stage, "made")
    lost = begun(stage, wave, "made", "lost")
    stage.later(LEASE + 1)
    fails(stage, wave, "made")()
    assert {str(s) for s in wave.statuses("made").values()} == {"failed: error"}
    answers["made"] = 5.0
    lost.finish()
    assert check(stage, wave, "made") == {"a": "finished (late)", "b": "finished (late)"}


def test_what_a_refused_report_has_set_to_finished_the_next_one_does_not_take_back(stage):
    """Wherever the next run is, even when it has looked for pipes already."""
    for calls in range(5):
        wave = prepared(stage, "made")
        lost = begun(stage, wave, "made", "lost")
        stage.later(LEASE + 1)
        fails(stage, wave, "made")
        following = begun(stage, wave, "made", "next")
        following.step(calls)
        answers["made"] = 5.0
        lost.finish()
        assert check(stage, wave, "made") == {"a": "finished", "b": "finished"} or following.ended
        answers["made"] = ValueError("not again")
        following.finish()
        assert set(check(stage, wave, "made").values()) <= {"finished", "finished (late)"}


def test_what_runs_on_when_its_wave_is_closed_is_finished_late_and_counts_so_in_the_totals(stage):
    wave = prepared(stage, "made")
    lost = begun(stage, wave, "made", "lost")
    wave.cancel()
    lost.finish()
    assert check(stage, wave, "made") == {"a": "finished (late)", "b": "finished (late)"}
    (totals,) = read_totals(stage.client)
    assert totals.entities["made", "finished", ""] == 2
    wave.retry()
    answers["made"] = 6.0
    for name in ("made", "pooled", "shared", "district"):
        assert stage.run(wave, name) == "granted"
    assert wave.info().reason == "done"
    assert wave.result("made", "a") == 5.0
    assert set(check(stage, wave, "made").values()) == {"finished (late)"}
    (totals,) = read_totals(stage.client)
    assert totals.entities["made", "finished", ""] == 2, "they count once"


def test_who_puts_pipes_after_the_end_and_dies_is_found_by_a_keeper(stage):
    wave = prepared(stage, "made")
    lost = begun(stage, wave, "made", "lost")
    wave.cancel()
    while not stage.store.raw(f"main/made b {DATE}"):
        lost.step()
    lost.kill()
    assert {str(s) for s in wave.statuses("made").values()} == {"skipped: cancelled"}
    stage.later(AGAIN_MS / 1000)
    stage.keep()
    assert check(stage, wave, "made") == {"a": "finished (late)", "b": "finished (late)"}
    assert not stage.client.zcard(DEADLINES)


def test_a_wave_that_expires_knows_the_pipes_of_who_died_before_their_slots(stage):
    wave = stage.submit(expiry="60s")
    stage.run(wave, "level")
    put_and_lost(stage, wave).kill()
    assert math.isnan(stage.store.window("main", "made", DATE, 1, ["a"])[0, 0])
    stage.later(60)
    stage.keep()
    assert wave.info().reason == "expired"
    assert check(stage, wave, "made") == {"a": "finished", "b": "finished"}
    assert set(check(stage, wave, "pooled").values()) == {"skipped: expired"}


def test_the_pipe_of_the_base_is_not_the_waves_own(stage):
    stage.store.put("base", "made", DATE, {"a": 99.0, "b": 99.0}, ttl=1)
    wave = stage.submit(base="base")
    stage.run(wave, "level")
    fails(stage, wave, "made")()
    assert {str(s) for s in wave.statuses("made").values()} == {"failed: error"}


def test_a_retry_of_what_failed_though_its_pipe_stands_keeps_the_pipe(stage):
    wave = prepared(stage, "made")
    fails(stage, wave, "made")()
    wave.cancel()
    stage.store.put("main", "made", DATE, {"a": 5.0}, ttl=1)  # by somebody whom nobody saw
    wave.retry()
    fails(stage, wave, "made")()
    assert check(stage, wave, "made") == {"a": "finished", "b": "failed: error"}
    assert wave.result("made", "a") == 5.0


class Away(ClusterStore):
    """A store of its own that does not answer."""

    def _read(self, keys: Any) -> Any:
        raise StoreError("the pipe store is away")

    _add = _write_slots = _read


def test_a_store_that_is_away_is_looked_at_again_at_the_close(stage):
    wave = prepared(stage, "made")
    put_and_lost(stage, wave).kill()
    stage.run(wave, "made", store=Away(stage.client))
    assert {str(s) for s in wave.statuses("made").values()} == {"failed: error"}
    stage.close(wave)
    assert check(stage, wave, "made") == {"a": "finished (late)", "b": "finished (late)"}


def test_a_wave_is_closed_though_the_store_is_away(stage):
    wave = stage.submit(expiry="60s")
    stage.later(60)
    stage.keep(store=Away(stage.client))
    assert wave.info().reason == "expired"


# -- a wave that is submitted again under its id


def test_a_wave_that_redis_lost_is_run_as_it_was_submitted_again(stage):
    """By a worker that remembers the one before: its graph, and the entities of its shards."""
    before = stage.submit({"a": {"size": 1}, "b": {"size": 2}})
    stage.run(before, "level")
    ids = {before.id}
    stage.clear()
    remembering, stage.runtime = stage.runtime, stage.process()
    again = submit_wave(
        flow, DATE, state=None, entities={"a": {"size": 1}, "b": {"size": 2}}, runtime=stage.runtime
    )
    assert {again.id} == ids
    stage.runtime = remembering
    for name in ("level", "made", "pooled", "shared", "district"):
        assert stage.run(again, name) == "granted"
    assert before.info().reason == "done"
    assert check(stage, before, "made") == {"a": "finished", "b": "finished"}


@pytest.fixture
def shops(stage: Stage) -> Callable[..., Wave]:
    """Submits the flow's ordinary wave for the shops that are there now, as another process does."""

    def submit(*names: str) -> Wave:
        runtime = stage.process()
        registry = runtime.states.bind(flow.state)
        registry.clear()
        registry.update({name: {} for name in names})
        return submit_wave(flow, DATE, runtime=runtime)

    return submit


def test_a_worker_runs_the_entities_of_the_submission_and_not_those_that_it_remembers(stage, shops):
    old = shops("old1", "old2", "old3")
    stage.run(old, "level")
    stage.clear()
    new = shops("new1", "new2")
    assert new.id == old.id
    for name in VALUES:
        assert stage.run(new, name) == "granted"
    assert set(new.statuses("made")) == {"new1", "new2"}
    assert stage.store.get("main", "made", DATE, ["new1", "new2", "old1"]) == {"new1": 5.0, "new2": 5.0}
    assert set(old.statuses("made")) == {"new1", "new2"}, "a wave is what Redis holds of it"
    assert new.info().reason == "done"


def test_what_runs_for_a_submission_that_redis_lost_counts_for_nothing_in_the_next_one(stage, shops):
    old = shops("old1", "old2", "old3")
    running = stage.start(old, "level", "lost")
    while not stage.store.raw(f"main/level old1 {DATE}"):
        running.step()
    stage.clear()
    new = shops("new1", "new2")
    stage.runtime = stage.process()
    claimed = begun(stage, new, "level", "me")
    running.finish()  # its attempt has the same number
    assert {str(s) for s in new.statuses("level").values()} == {"pending"}
    claimed.finish()
    assert {str(s) for s in new.statuses("level").values()} == {"finished"}


def test_who_submits_again_what_redis_lost_gets_a_wave_that_is_there(stage, shops):
    first = stage.submit()
    stage.clear()
    again = stage.submit()
    assert again.info().state == "open"
    assert first.info().state == "open"
