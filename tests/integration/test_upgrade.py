"""Workers and keepers of the release before and of today on one Redis, in both directions, while waves are open."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest

from pipeline.forms import named_unreadable
from pipeline.gate.status_groups import by_kind
from pipeline.settings import Settings
from pipeline.waves.presence import present
from pipeline.waves.runtime import Runtime
from pipeline.waves.wave import Wave
from tests.support.release_before import ROOT, WorkersOf, check_out, run_with
from tests.support.servers import until

CODE = """
import os, time
from pathlib import Path
from pipeline import Flow, State, task

@task
def sales(entity: str) -> int:
    while entity > "shop05" and not Path(os.environ["GO"]).exists():
        time.sleep(0.05)
    return len(entity)

@task
def doubled(sales: int) -> int:
    time.sleep(0.05)
    return 2 * sales

@task(per="wave")
def total(doubled) -> int:
    return sum(value for chunk in doubled for value in chunk.values())

sold = Flow("sold", [sales, doubled, total], state=State("shops", partition_by="city"))
"""
SUBMIT = """
import sys
from pipeline import submit_wave
from pipeline.flows.discover import load_flows
entities = {f"shop{n:02}": {"city": f"city{n % 3}"} for n in range(48)}
print(submit_wave(load_flows([sys.argv[1]])["sold"], date=sys.argv[2], entities=entities).id)
"""
WHERE = "import pipeline; print(pipeline.__file__)"
ALL, TOTAL = 2 * 48 + 1, 48 * 2 * len("shop00")
ENV = {"PIPELINE_SHARD_SIZE": "2", "PIPELINE_LEASE": "3", "PIPELINE_VERSION": "main"}


@pytest.fixture(scope="module")
def before(tmp_path_factory) -> Path:
    """The code of the release before."""
    found = check_out(tmp_path_factory.mktemp("before"))
    assert run_with(found, WHERE, [], dict(os.environ)).startswith(str(found))
    return found


@pytest.fixture(params=["upgrade", "rollback"])
def codes(request, before) -> tuple[Path, Path]:
    """The code that a wave begins with, and the one that comes beside it and in its place."""
    return (before, ROOT) if request.param == "upgrade" else (ROOT, before)


@pytest.fixture
def flows(tmp_path: Path, monkeypatch) -> str:
    (tmp_path / "sold.py").write_text(CODE)
    monkeypatch.setenv("GO", str(tmp_path / "go"))
    return str(tmp_path / "sold.py")


@pytest.fixture
def runtime(redis_url: str) -> Runtime:
    return Runtime(Settings(redis_url=redis_url, version="main"))


@pytest.fixture
def submit(redis_url, flows, runtime) -> Callable[[Path, str], Wave]:
    """Submits a wave with the code in a folder."""

    def call(code: Path, date: str) -> Wave:
        env = os.environ | ENV | {"REDIS_URL": redis_url}
        return Wave.find(run_with(code, SUBMIT, [flows, date], env), runtime)

    return call


def is_right(wave: Wave) -> bool:
    """Whether all of a wave was run, each of it with its effect once."""
    progress = wave.progress()
    kinds = {task: dict(by_kind(counts)) for task, counts in progress.tasks.items()}
    assert kinds == {"sales": {"finished": 48}, "doubled": {"finished": 48}, "total": {"finished": 1}}
    assert wave.result("total", "@all") == TOTAL
    return progress.ended == ALL


def test_a_wave_goes_on_when_other_code_takes_over(redis_url, redis_client, flows, submit, codes, tmp_path):
    first, second = codes
    with WorkersOf(first, redis_url, flows=[flows], env=ENV) as leaving:
        leaving.wait_ready()
        wave = submit(first, "2026-05-01T07")
        until(lambda: wave.progress().ended >= 2, 40)
        with WorkersOf(second, redis_url, flows=[flows], env=ENV) as coming:
            coming.wait_ready()
            begun = submit(second, "2026-05-01T08")  # while both are there
            until(lambda: len(present(redis_client)) == 2, 30)
            assert not wave.closed
            redis_client.delete("main.collect", "main.compute")  # keepers of either send again what was lost
            (tmp_path / "go").touch()
            until(lambda: begun.progress().ended >= 6, 60)
            leaving.kill(0)
            for each in (wave, begun):
                assert is_right(each.wait(90))
            last = submit(first, "2026-05-01T09").wait(60)
            assert is_right(last)
    assert not named_unreadable(redis_client)
    assert redis_client.zcard("deadlines") == 0


def test_a_field_more_in_every_record_delays_nothing(redis_url, redis_client, flows, submit, codes, tmp_path):
    code, _ = codes
    (tmp_path / "go").touch()
    wave = submit(code, "2026-05-01T07")
    key = f"wave:{wave.id}"
    spec = orjson.loads(redis_client.hget(key, "spec"))
    steps = [[*step, "more"] for step in spec["plan"]["steps"]]
    redis_client.hset(
        key,
        mapping={
            "more": 1,
            "spec": orjson.dumps(spec | {"more": 1, "plan": spec["plan"] | {"steps": steps}}),
        },
    )
    redis_client.hset(f"{key} units", mapping={f"sales {n}": "1 pending 0 0 0 0 - 0 more" for n in range(24)})
    for number, data in redis_client.hgetall(f"{key} shards").items():
        redis_client.hset(f"{key} shards", number, orjson.dumps(orjson.loads(data) | {"more": 1}))
    with WorkersOf(code, redis_url, flows=[flows], env=ENV) as workers:
        workers.wait_ready()
        assert is_right(wave.wait(60))
    assert not any(i.kind in ("untaken", "lost") for i in wave.incidents())
