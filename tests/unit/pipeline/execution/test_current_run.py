"""What runs now is known to the code that a task calls."""

from __future__ import annotations

from datetime import UTC, datetime

from pipeline import Flow, task
from pipeline.execution.current_run import running
from pipeline.execution.replay import Replay
from pipeline.store import MemoryStore
from pipeline.testing import run_wave

NOW = datetime(2026, 1, 2, 12, tzinfo=UTC)


def told() -> list:
    run = running()
    return [run.task, run.source.version, run.source.date.isoformat()]


@task(concurrency=2)
def alone(entity):
    return told()


@task(batch=True)
def together(alone):
    return {key: told() for key in alone}


def test_a_task_knows_its_run_alone_in_threads_and_in_a_batch():
    wave = run_wave(Flow("f", [alone, together]), ["a", "b"], NOW, version="fix")
    assert wave.result("alone", "b") == ["alone", "fix", NOW.isoformat()]
    assert wave.result("together", "a") == ["together", "fix", NOW.isoformat()]
    assert running() is None


def test_its_store_is_the_wave_s():
    store = MemoryStore()
    store.put("main", "before", NOW, {"a": 7}, 1e9)

    @task
    def reads(entity):
        source = running().source
        return source.store.get("main", "before", source.date, [entity])[entity]

    assert run_wave(Flow("f", [reads]), ["a"], NOW, store=store).result("reads", "a") == 7
    (step,) = Replay(Flow("f", [reads]), "a", NOW, store, "main").run()
    assert step.value == 7
