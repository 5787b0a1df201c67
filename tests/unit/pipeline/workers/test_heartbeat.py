"""The heartbeat file, and the health check that reads it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.errors import ProcessError, SettingsError
from pipeline.workers.heartbeat import Heartbeat, check_age
from pipeline.workers.liveness import main
from tests.support.servers import until


def age(path: Path, seconds: float) -> None:
    then = time.time() - seconds
    os.utime(path, (then, then))


def test_the_file_is_there_as_soon_as_a_heartbeat_is(tmp_path: Path):
    path = tmp_path / "alive"
    Heartbeat(path)
    assert check_age(path) < 5


def test_a_loop_that_tells_often_touches_the_file_now_and_then(tmp_path: Path):
    path = tmp_path / "alive"
    heartbeat = Heartbeat(path, every=60)
    age(path, 30)
    heartbeat.tell()
    assert check_age(path) > 29
    heartbeat.every = 0
    heartbeat.tell()
    assert check_age(path) < 5


def test_a_thread_touches_the_file_until_it_is_stopped(tmp_path: Path):
    path = tmp_path / "alive"
    heartbeat = Heartbeat(path, every=0.01)
    age(path, 1000)
    heartbeat.start()
    until(lambda: time.time() - path.stat().st_mtime < 500, 10)
    heartbeat.stop()


def test_without_the_variable_there_is_none():
    assert Heartbeat.from_env({}) is None


def test_a_file_that_cannot_be_written_is_told_with_what_to_name_instead(tmp_path: Path):
    with pytest.raises(
        SettingsError,
        match=r"PIPELINE_HEARTBEAT=.*/gone/alive cannot be written \(No such file.*tmpfs or a volume",
    ):
        Heartbeat.from_env({"PIPELINE_HEARTBEAT": str(tmp_path / "gone" / "alive")})


def test_an_old_heartbeat_is_told_with_its_age(tmp_path: Path):
    path = tmp_path / "alive"
    Heartbeat(path)
    age(path, 100)
    with pytest.raises(
        ProcessError, match=r"the last heartbeat at .*alive was 100 s ago, more than 60 s: it hangs"
    ):
        check_age(path)


def test_the_health_check_says_whether_the_process_is_alive(tmp_path: Path, capsys):
    env = {"PIPELINE_HEARTBEAT": str(tmp_path / "alive")}
    assert main([], env) == 1
    assert "there is no heartbeat" in capsys.readouterr().err
    Heartbeat.from_env(env)
    assert main([], env) == 0
    age(tmp_path / "alive", 70)
    assert main(["90"], env) == 0
    assert main([], env) == 1


@pytest.mark.parametrize(
    ("words", "env", "text"),
    [
        ([], {}, "PIPELINE_HEARTBEAT is not set"),
        (["soon"], {"PIPELINE_HEARTBEAT": "x"}, "'soon' is not a number of seconds"),
    ],
)
def test_a_wrong_use_of_the_health_check_is_told(words, env, text, capsys):
    assert main(words, env) == 2
    assert text in capsys.readouterr().err


def test_the_health_check_loads_neither_celery_nor_redis(tmp_path: Path):
    code = "import sys, pipeline.workers.liveness; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert {"celery", "numpy", "redis"}.isdisjoint(loaded.stdout.split())
