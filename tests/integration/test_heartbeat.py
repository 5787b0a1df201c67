"""Every process of a deployment touches its heartbeat file, which is all that its health check looks at."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from pipeline.local.processes import celery_command, worker_command, worker_env
from pipeline.local.supervise import Processes
from pipeline.workers.liveness import main
from tests.support.servers import free_port, until

COMMANDS = {
    "worker": worker_command("main", 1, ["collect"], "threads"),
    "prefork": worker_command("main", 1, ["compute"], "prefork"),
    "beat": celery_command("beat", "-l", "WARNING"),
    "web": [sys.executable, "-m", "pipeline.web"],
}


def test_every_process_touches_its_heartbeat_again_and_again(redis_url: str, tmp_path: Path):
    paths = {name: tmp_path / name for name in COMMANDS}
    env = worker_env(redis_url, [], "main") | {"PIPELINE_WEB_PORT": str(free_port())}
    with Processes(patience=0) as processes:
        for name, command in COMMANDS.items():
            processes.start(name, command, env | {"PIPELINE_HEARTBEAT": str(paths[name])})
        until(lambda: all(path.exists() for path in paths.values()), 30)
        long_ago = time.time() - 1000
        for path in paths.values():
            os.utime(path, (long_ago, long_ago))
        for path in paths.values():
            until(lambda path=path: main([], {"PIPELINE_HEARTBEAT": str(path)}) == 0, 20)


def test_a_worker_that_cannot_write_its_heartbeat_ends_and_says_why(redis_url: str, tmp_path: Path):
    env = worker_env(redis_url, [], "main") | {"PIPELINE_HEARTBEAT": str(tmp_path / "gone" / "alive")}
    with Processes(patience=0) as processes:
        child = processes.start("worker", COMMANDS["worker"], env)
        until(lambda: child.code is not None, 30)
        assert child.code == 2
        assert "alive cannot be written (No such file or directory)" in child.tail()
