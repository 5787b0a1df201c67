"""`wave up` starts what some flows need, and ends all of it however it is ended itself."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import psutil
import pytest
from click.testing import CliRunner
from redis import Redis
from redis.exceptions import ConnectionError

from pipeline.cli import children, main, up
from pipeline.cli.options import Chosen
from pipeline.cli.session import Session
from pipeline.local_session import FILE
from tests.support.servers import until

ROUTES = str(Path(__file__).parent / "flows" / "routes.py")

FAILS_IN_WORKERS = """
import os
from pipeline import Flow, task

if "PIPELINE_READY_FILE" in os.environ:
    raise ZeroDivisionError("only in a worker")

@task
def a(entity): ...

flow = Flow("broken", [a])
"""


class Up:
    """A `wave up` that runs."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.lines: list[str] = []
        self.children: list[psutil.Process] = []

    def read_until(self, text: str) -> None:
        """Read its output up to a line that holds `text`."""
        for line in self.process.stdout:
            self.lines.append(line)
            if text in line:
                self.children = psutil.Process(self.process.pid).children(recursive=True)
                return
        pytest.fail(f"no {text!r} in: {''.join(self.lines)} {self.process.stderr.read()}")

    def ended(self, limit: float = 30.0) -> int:
        """Wait for its end, and for that of all that it had started; gives the exit code."""
        code = self.process.wait(limit)
        until(lambda: not [c for c in self.children if c.is_running() and c.status() != psutil.STATUS_ZOMBIE])
        return code


@pytest.fixture
def wave_up(redis_url: str, as_main: None) -> Iterator[Callable[..., Up]]:
    """Starts `wave up` with some words; ended hard at the end of the test if it still runs."""
    with ExitStack() as stack:
        yield lambda *words, **env: stack.enter_context(_started(redis_url, words, env))


@contextmanager
def _started(url: str, words: tuple[str, ...], env: dict[str, str]) -> Iterator[Up]:
    command = [sys.executable, "-m", "pipeline.cli", "up", *words]
    environment = {**os.environ, "REDIS_URL": url, **env}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield Up(process)
        finally:
            process.kill()


@pytest.fixture
def state(wave):
    wave("state", "add", "routes", "JFK-LAX", "origin=JFK")


@pytest.fixture
def held(wave, redis_client, state):
    """A wave whose task runs until the key `hold` is gone."""
    redis_client.set("hold", 1)
    wave("submit", "held", "--date", "2013-06-25T13")


def claimed(client: Redis) -> bool:
    return (client.hget("wave:main/held 2013-06-25T13 units", "waiting 0") or b"").startswith(b"1 running ")


@pytest.mark.usefixtures("state")
def test_it_starts_waves_by_schedule_and_ends_all_at_an_interrupt(wave_up, redis_client):
    up = wave_up("--workers", "2")
    up.read_until("ready after")
    assert "flow delays: 5 tasks, schedule 5 * * * * (UTC)\n" in up.lines
    assert "flow held: 1 task, no schedule: start its waves with `wave submit`\n" in up.lines
    until(
        lambda: any(
            redis_client.hget(k, "state") == b"closed"
            for k in redis_client.scan_iter("wave:main/delays *[0-9]")
            if b" " not in k.split(b"T")[1]
        )
    )
    up.process.send_signal(signal.SIGINT)
    assert up.ended() == 0


@pytest.mark.usefixtures("held")
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_what_runs_is_finished_first(wave_up, redis_client, sent):
    up = wave_up("--no-beat")
    up.read_until("ready after")
    until(lambda: claimed(redis_client))
    up.process.send_signal(sent)
    assert up.process.stderr.readline().startswith("ending; Ctrl-C again")
    redis_client.delete("hold")
    assert up.ended() == 0
    assert redis_client.hget("wave:main/held 2013-06-25T13", "state") == b"closed"


@pytest.mark.usefixtures("held")
def test_a_second_interrupt_does_not_wait_for_what_runs(wave_up, redis_client):
    up = wave_up("--no-beat", "--drain", "60s")
    up.read_until("ready after")
    until(lambda: claimed(redis_client))
    up.process.send_signal(signal.SIGINT)
    up.process.stderr.readline()
    up.process.send_signal(signal.SIGINT)
    began = time.monotonic()
    assert up.ended() == 0
    assert time.monotonic() - began < 20
    assert redis_client.hget("wave:main/held 2013-06-25T13", "state") == b"open"


@pytest.mark.usefixtures("held")
def test_when_patience_is_over_what_runs_is_given_back(wave_up, redis_client):
    up = wave_up("--no-beat", "--drain", "1s")
    up.read_until("ready after")
    until(lambda: claimed(redis_client))
    up.process.send_signal(signal.SIGTERM)
    assert up.ended() == 0


def child_named(up: Up, name: str) -> psutil.Process | None:
    found = psutil.Process(up.process.pid).children()
    return next((child for child in found if f" {name}" in " ".join(child.cmdline())), None)


@pytest.mark.usefixtures("state")
def test_a_worker_that_dies_is_started_anew(wave_up, wave):
    up = wave_up("--workers", "1", "--no-beat")
    up.read_until("ready after")
    first = child_named(up, "worker1")
    first.kill()
    assert up.process.stderr.readline() == "wave: worker1 ended with exit code 137 and is started anew\n"
    until(lambda: (found := child_named(up, "worker1")) is not None and found.pid != first.pid)
    assert "finished" in wave("submit", "delays", "--date", "2013-06-25T13", "--wait").output
    up.process.send_signal(signal.SIGINT)
    assert up.ended() == 0


@pytest.mark.usefixtures("state")
def test_another_process_that_dies_ends_all_with_an_error(wave_up):
    up = wave_up()
    up.read_until("ready after")
    child_named(up, "beat").kill()
    assert up.ended() == 1
    assert "wave: beat ended by itself with exit code 137" in up.process.stderr.read()


def test_nothing_is_left_when_it_is_killed(wave_up):
    up = wave_up("--workers", "2", "--redis", "embedded")
    up.read_until("ready after")
    assert len(up.children) > 5
    up.process.kill()
    assert up.ended() == -signal.SIGKILL


def test_a_private_redis_is_offered_to_other_commands_and_gone_afterwards(wave_up, command_on):
    up = wave_up(ROUTES, "--redis", "embedded", "--no-beat", PIPELINE_FLOWS="")
    up.read_until("ready after")
    url = next(line.split("REDIS_URL=")[1].strip() for line in up.lines if "export REDIS_URL=" in line)
    wave = command_on(url)
    wave("state", "add", "routes", "JFK-LAX", "origin=JFK")
    assert wave("submit", "held", "--wait").stdout.endswith(": 1 finished\n")
    up.process.send_signal(signal.SIGINT)
    assert up.ended() == 0
    with Redis.from_url(url) as client, pytest.raises(ConnectionError):
        client.ping()


@pytest.mark.parametrize(("answers", "private"), [(True, False), (False, True)])
def test_without_an_address_the_default_redis_is_used_if_it_answers(
    monkeypatch, capsys, redis_url, answers, private
):
    monkeypatch.delenv("REDIS_URL", raising=False)
    monkeypatch.setattr(children, "_answers", lambda _: answers)
    monkeypatch.setattr(Session, "runtime", type("Answers", (), {"check": lambda self: None})())
    with ExitStack() as stack:
        url = children.choose_redis(Session(Chosen()), stack)
        assert (url != children.DEFAULT_REDIS_URL) is private
    said = capsys.readouterr().out
    assert ("because REDIS_URL is not set and nothing answers" in said) is private


def test_in_the_folder_of_another_that_runs_its_redis_and_flows_are_taken(
    monkeypatch, capsys, redis_url, tmp_path
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("REDIS_URL", raising=False)
    monkeypatch.delenv("PIPELINE_FLOWS", raising=False)
    (tmp_path / FILE).write_text(f"{os.getppid()} {redis_url}\n{ROUTES}\n")
    session = Session(Chosen())
    with ExitStack() as stack:
        assert children.choose_redis(session, stack) == redis_url
    assert capsys.readouterr().out.endswith(", of the `wave up` that runs in this folder\n")
    assert (tmp_path / FILE).exists()
    assert "delays" in session.flows


def test_collection_tasks_run_in_a_worker_of_threads(wave_up, wave, state):
    up = wave_up("--collect-threads", "3", "--no-beat")
    up.read_until("ready after")
    commands = [" ".join(child.cmdline()) for child in up.children]
    collect = next(c for c in commands if " -n collect-" in c)
    assert " -P threads -c 3 " in collect
    assert " -Q main.collect " in collect
    worker = next(c for c in commands if " -n worker1-" in c)
    assert " -Q main.control,main.compute" in worker
    hour = ("--date", "2013-06-25T13")  # weather fails at another
    assert wave("submit", "delays", *hour, "--wait").stdout.endswith(": 5 finished\n")


@pytest.mark.parametrize(("concurrency", "taker"), [("1", "worker1"), ("2", "solo")])
def test_what_must_run_alone_is_taken_by_a_worker_that_runs_one_thing_at_a_time(wave_up, concurrency, taker):
    up = wave_up("--concurrency", concurrency, "--no-beat")
    up.read_until("ready after")
    taking = {c for child in up.children if "main.solo" in (c := " ".join(child.cmdline()))}
    assert len(taking) == 1
    assert f" -n {taker}-" in taking.pop()


def test_flower_is_started_when_asked(wave_up):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    up = wave_up("--no-beat", "--flower", "--flower-port", str(port))
    up.read_until("ready after")
    until(lambda: answers(f"http://127.0.0.1:{port}/healthcheck"))
    up.process.send_signal(signal.SIGINT)
    assert up.ended() == 0


def answers(url: str) -> bool:
    try:
        with urlopen(url, timeout=1) as response:
            return response.status == 200
    except (URLError, OSError):
        return False


def test_without_flower_installed_it_says_which_extra(monkeypatch, redis_url, as_main):
    monkeypatch.setattr(up, "find_spec", lambda _: None)
    result = CliRunner().invoke(main, ["--redis", redis_url, "up", "--flower"])
    assert result.exit_code == 2
    assert "Flower is not installed. Install it: pip install 'celery-waves[flower]'" in result.stderr


def test_a_worker_that_cannot_start_is_shown_with_the_end_of_its_output(wave_up, tmp_path):
    (tmp_path / "fails_in_workers.py").write_text(FAILS_IN_WORKERS)
    up = wave_up(str(tmp_path / "fails_in_workers.py"), PIPELINE_FLOWS="")
    assert up.process.wait(30) == 2
    said = up.process.stderr.read()
    assert re.search(r"wave: worker1 ended with exit code \d+\. It said:", said)
    assert "ZeroDivisionError: only in a worker" in said


@pytest.mark.parametrize("program", ["worker", "beat", "flower"])
def test_celery_s_own_commands_find_the_application(program, redis_url, as_main):
    command = [sys.executable, "-m", "celery", "-A", "pipeline.app", program, "--help"]
    said = subprocess.run(
        command, env={**os.environ, "REDIS_URL": redis_url}, capture_output=True, text=True, check=True
    )
    assert f"celery {program}" in said.stdout
