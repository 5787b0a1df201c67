"""With no worker alive, beat alone ends waves by their expiry, and they say why."""

from __future__ import annotations

from pathlib import Path

from pipeline import Wave, submit_wave
from pipeline.flows.discover import load_flows
from pipeline.local.processes import celery_command, worker_env
from pipeline.local.supervise import Processes
from pipeline.settings import Settings
from pipeline.waves.runtime import Runtime
from tests.support.servers import until

OUTAGES = str(Path(__file__).parent / "flows" / "outages.py")


def test_a_wave_that_no_worker_takes_is_ended_by_beat_at_its_expiry(redis_url, command_on):
    runtime = Runtime(Settings(redis_url=redis_url, version="main"))
    flow = load_flows([OUTAGES])["forgotten"]
    entities = {"paris": {"country": "fr"}, "rome": {"country": "it"}}
    with Processes(patience=5) as processes:
        env = worker_env(redis_url, [OUTAGES], "main")
        processes.start("beat", celery_command("beat", "-l", "WARNING"), env)
        wave = submit_wave(flow, date="2026-08-01T07", entities=entities, runtime=runtime).wait(30)
        info = wave.info()
        assert info.reason == "expired"
        assert 3 <= info.ended - info.submitted < 20  # beat had to start first
        assert {str(status) for status in wave.statuses("keyed").values()} == {"skipped: expired"}
        until(lambda: runtime.client.zcard("deadlines") == 0, 15)
    shown = command_on(redis_url)("show", "forgotten").output
    assert "       2 x skipped: expired: no worker took it from queue main.collect\n" in shown
    assert Wave.find(wave.id, runtime).progress().ended == 2
