"""Old and new workers side by side on the same queues, as in the middle of a deployment."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline import submit_wave
from pipeline.flows.discover import load_flows
from pipeline.local.processes import Workers
from pipeline.settings import Settings
from pipeline.waves.runtime import Runtime
from tests.support.servers import until

DATE = "2026-05-01T07"
ENTITIES = {f"shop{n}": {"city": f"city{n % 6}"} for n in range(12)}
OLD = """
from pipeline import Flow, State, task

shops = State("shops", partition_by="city")

@task
def sales(entity: str) -> int:
    return len(entity)

{more}
grown = Flow("grown", [sales{names}], state=shops)
"""
MORE = """
@task
def doubled(sales: int) -> int:
    return 2 * sales

@task(per="wave")
def total(doubled) -> int:
    return sum(value for chunk in doubled for value in chunk.values())
"""


@pytest.fixture
def code(tmp_path: Path) -> tuple[str, str]:
    """Write the same flow as it was and as it is; gives both files."""
    for name, more, names in (("old", "", ""), ("new", MORE, ", doubled, total")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "grown.py").write_text(OLD.format(more=more, names=names))
    return str(tmp_path / "old" / "grown.py"), str(tmp_path / "new" / "grown.py")


@pytest.fixture
def runtime(redis_url: str) -> Runtime:
    return Runtime(Settings(redis_url=redis_url, version="main"))


def test_a_task_that_old_workers_do_not_know_is_left_for_the_new_ones(redis_url, runtime, code):
    old, new = code
    with (
        Workers(redis_url, flows=[old], count=1) as before,
        Workers(redis_url, flows=[new], count=1) as after,
    ):
        before.wait_ready()
        after.wait_ready()
        flow = load_flows([new])["grown"]
        wave = submit_wave(flow, date=DATE, entities=ENTITIES, runtime=runtime).wait(60)
    assert wave.progress().count("finished") == 2 * len(ENTITIES) + 1
    assert wave.result("total", "@all") == 2 * sum(map(len, ENTITIES))
    assert {i.kind for i in wave.incidents()} <= {"unknown", "untaken"}


def test_waves_of_the_old_code_are_ended_by_the_new_workers(redis_url, runtime, code):
    old, new = code
    with Workers(redis_url, flows=[new], count=1) as workers:
        workers.wait_ready()
        flow = load_flows([old])["grown"]
        wave = submit_wave(flow, date=DATE, entities=ENTITIES, runtime=runtime).wait(30)
    assert wave.progress().count("finished") == len(ENTITIES)


def test_with_old_workers_alone_a_wave_ends_at_its_expiry_and_says_why(redis_url, runtime, code, command_on):
    old, new = code
    with Workers(redis_url, flows=[old], count=1) as workers:
        workers.wait_ready()
        flow = load_flows([new])["grown"]
        wave = submit_wave(flow, date=DATE, entities=ENTITIES, expiry="4s", runtime=runtime).wait(30)
        until(lambda: runtime.client.zcard("deadlines") == 0, 15)
    assert wave.info().reason == "expired"
    assert {str(s) for s in wave.statuses("sales").values()} == {"finished"}
    assert {str(s) for s in wave.statuses("doubled").values()} == {"skipped: expired"}
    shown = command_on(redis_url)("show", "grown").output
    assert "x doubled: a worker that got it does not know it; left for one that does" in shown
    assert "x skipped: expired: no worker took it from queue main.compute" in shown
