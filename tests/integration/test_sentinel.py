"""A wave goes on when the primary dies and Sentinels promote its replica."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline import Wave, submit_wave
from pipeline.errors import UnreachableError
from pipeline.flows.discover import load_flows
from pipeline.local.processes import Workers
from pipeline.settings import Settings
from pipeline.waves.runtime import Runtime
from tests.support.servers import PASSWORD, Watched, until, watched

OUTAGES = str(Path(__file__).parent / "flows" / "outages.py")


@pytest.fixture
def group() -> Iterator[Watched]:
    with watched() as found:
        yield found


def submit(runtime: Runtime, hour: int) -> Wave:
    flow = load_flows([OUTAGES])["steps"]
    entities = {f"place{n}": {"country": f"c{n % 2}"} for n in range(60)}
    return submit_wave(flow, date=f"2026-05-03T{hour:02}", entities=entities, runtime=runtime)


def check(wave: Wave) -> None:
    progress = wave.progress()
    assert progress.count("finished") == progress.total, (progress, wave.errors())


def test_a_wave_survives_a_failover_within_seconds(group, tmp_path):
    witness = tmp_path / "witness"
    witness.touch()
    env = {"WITNESS": str(witness), "PIPELINE_SOCKET_TIMEOUT": "2s", "PIPELINE_LEASE": "5s"}
    runtime = Runtime(Settings(redis_url=group.url, version="main", shard_size=5), patience=30)
    runtime.check()
    with Workers(group.url, flows=[OUTAGES], count=2, env=env, patience=5, logs=tmp_path / "logs") as workers:
        workers.wait_ready()
        wave = submit(runtime, 7)
        until(lambda: len(witness.read_text().splitlines()) > 8)
        first = group.primary()
        first.child.send(signal.SIGKILL)
        died = time.monotonic()
        until(lambda: group.primary() is not first)
        until(lambda: group.role(group.primary()) == "master")
        check(wave.wait(60))
        assert time.monotonic() - died < 45
        check(submit(runtime, 8).wait(30))
        assert all(child.code is None for child in workers.children)
    logs = "".join(path.read_text() for path in (tmp_path / "logs").iterdir())
    assert PASSWORD not in logs


@pytest.mark.parametrize(
    "url", ["sentinel://host:1/0", "sentinel://:26379/0?master=x", "sentinel://host:y/0?master=x"]
)
def test_a_url_that_names_no_sentinels_says_how_one_looks(url):
    with pytest.raises(UnreachableError, match=r"It looks like sentinel://user:password@host:26379"):
        Runtime(Settings(redis_url=url)).check()
