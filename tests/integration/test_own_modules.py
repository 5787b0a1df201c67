"""A folder with a tasks.py and an ecs.py of its own runs: by the command, by workers and beat, by a script."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from pipeline.local.processes import Workers, celery_command, worker_env
from pipeline.settings import Settings
from pipeline.waves.runtime import Runtime
from pipeline.waves.wave import Wave

ROOT = Path(__file__).parents[2]
FILES = {
    "tasks.py": """
        from pipeline import State, task
        from forecasting.models.naive import SeasonalNaive  # ours is within reach
        from ecs import FACTOR

        @task
        def sales(entity, date):
            return FACTOR * (date.hour + 1)

        shops = State("shops", source=lambda: ["a", "b"])
        """,
    "ecs.py": "FACTOR = 3\n",
    "flows.py": """
        from pipeline import Flow
        from tasks import sales, shops

        flow = Flow("own", [sales], state=shops)
        """,
    "proj/__init__.py": "",
    "proj/parts.py": "from tasks import sales, shops\n",
    "proj/flows.py": """
        from pipeline import Flow
        from .parts import sales, shops

        flow = Flow("inside", [sales], state=shops)
        """,
    "script.py": """
        from pipeline import submit_wave
        from flows import flow

        wave = submit_wave(flow, date="2026-05-01T09").wait(40)
        print(wave.progress(), wave.result("sales", "a"))
        """,
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(dedent(text))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def ran(words: list[str], url: str, flows: list[str], code: int = 0) -> str:
    env = os.environ | worker_env(url, flows, "main")
    env["PYTHONPATH"] = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run([sys.executable, *words], env=env, capture_output=True, text=True, timeout=90)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_own_modules_run_everywhere(folder: Path, redis_url: str):
    flows = ["flows.py", "proj/flows.py"]
    env = {"PYTHONPATH": f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    with Workers(redis_url, flows=flows, env=env, patience=5) as workers:
        workers.start("beat", celery_command("beat"), worker_env(redis_url, flows, "main") | env)
        workers.wait_ready(names=["worker1"])
        runtime = Runtime(Settings(redis_url=redis_url, version="main"))
        for name in ("own", "inside"):
            ran(["-m", "pipeline.cli", "submit", name, "--date", "2026-05-01T08"], redis_url, flows)
            wave = Wave.find(f"main/{name} 2026-05-01T08", runtime).wait(40)
            assert wave.result("sales", "a") == 27
        said = ran(["script.py"], redis_url, [])
        assert "2 finished" in said
        assert said.strip().endswith("30")
        for words in (
            ["flows"],
            ["ls"],
            ["doctor"],
            ["compile", "inside"],
            ["run", "own", "-e", "a", "--at", "2026-05-01T08"],
        ):
            ran(["-m", "pipeline.cli", *words], redis_url, flows)
        assert all(child.code is None for child in workers.children)


def test_a_worker_that_needs_the_shipped_package_names_both(folder: Path, redis_url: str):
    command = celery_command("worker", "-c", "1", "-I", "ecs.control.protection")[1:]
    said = ran(command, redis_url, ["flows.py"], code=2)
    assert f"your {folder / 'ecs.py'} has the name of the package" in said
    assert "which ecs.control is in" in said
    assert "Traceback" not in said
    said = ran(celery_command("worker", "-c", "1")[1:], redis_url, ["tasks.delays"], code=2)
    assert f"your {folder / 'tasks.py'} has the name of the package" in said
