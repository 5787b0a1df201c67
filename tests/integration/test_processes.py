"""Workers start, say that they are ready, and end with their owner, however it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import psutil
import pytest

from pipeline.errors import ProcessError
from pipeline.local.processes import Workers
from pipeline.local.supervise import Processes
from tests.support.servers import until

SLEEPER = [sys.executable, "-c", "import time; print('slept well', flush=True); time.sleep(60)"]

OWNER = """
import sys, time
from pipeline.local.supervise import Processes
with Processes() as processes:
    child = processes.start("child", ["/bin/sh", "-c", "sleep 61 & sleep 62"], {})
    print(child.pid, flush=True)
    time.sleep(60)
"""


def group(leader: int) -> list[int]:
    """The processes of a group that run."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.status() != psutil.STATUS_ZOMBIE and os.getpgid(process.pid) == leader:
                found.append(process.pid)
        except (psutil.NoSuchProcess, ProcessLookupError):
            continue
    return found


def test_children_are_gone_after_the_block():
    with Processes() as processes:
        child = processes.start("sleeper", SLEEPER, {})
        until(lambda: "slept well" in child.tail())
    until(lambda: not group(child.pid))
    assert not child.log.exists()


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_children_and_theirs_are_gone_after_their_owner_was_ended_by(sent):
    with subprocess.Popen(
        [sys.executable, "-c", OWNER], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as owner:
        leader = int(owner.stdout.readline())
        until(lambda: len(group(leader)) == 3)
        owner.send_signal(sent)
    until(lambda: not group(leader))


def test_a_child_whose_owner_died_before_it_was_let_go_never_runs(tmp_path, monkeypatch):
    made = tmp_path / "made"
    with Processes() as processes:
        monkeypatch.setattr(processes, "_tell_sentinel", lambda: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            processes.start("child", ["touch", made], {})
        monkeypatch.undo()
    assert not made.exists()


def test_what_a_child_ends_with_is_shown_with_the_end_of_its_output():
    with Processes() as processes:
        processes.start("broken", ["/bin/sh", "-c", "echo no such table; exit 3"], {})
        with pytest.raises(
            ProcessError, match=r"(?s)broken ended with exit code 3\. It said:\n  no such table"
        ):
            processes.wait_ready()


def test_a_child_that_is_never_ready_is_named():
    with Processes(patience=0) as processes:
        processes.start("slow", SLEEPER, {})
        with pytest.raises(ProcessError, match=r"slow was not ready after 0\.2 s"):
            processes.wait_ready(0.2)


def test_output_is_shown_line_by_line_with_the_name():
    lines = []
    with Processes(show=lambda *line: lines.append(line)) as processes:
        processes.start("talker", ["/bin/sh", "-c", "echo one; echo two"], {})
        until(lambda: len(lines) == 2)
    assert lines == [("talker", "one"), ("talker", "two")]


def test_a_child_that_will_not_end_is_killed_when_patience_is_over():
    with Processes(patience=0.1) as processes:
        child = processes.start(
            "deaf", ["/bin/sh", "-c", "trap '' TERM QUIT; echo up; sleep 60 & wait; sleep 60"], {}
        )
        until(lambda: "up" in child.tail())
    until(lambda: not group(child.pid))


def test_workers_are_ready_and_take_from_their_queues(redis_url, tmp_path):
    with Workers(redis_url, count=2, version="main", logs=tmp_path, patience=0) as workers:
        workers.wait_ready()
        assert len(set(workers.pids)) == 2
        workers.kill(0)
        assert [child.name for child in workers.ended()] == ["worker1"]
        workers.add()
        workers.wait_ready()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["worker1.log", "worker2.log", "worker3.log"]


def test_a_worker_that_finds_no_flow_says_so(redis_url):
    with (
        Workers(redis_url, flows=["no_such_flows"], patience=0) as workers,
        pytest.raises(
            ProcessError, match=r"(?s)worker1 ended with exit code 2.*cannot import 'no_such_flows'"
        ),
    ):
        workers.wait_ready()
