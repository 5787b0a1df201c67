"""celery-redbeat as beat's scheduler: one of several beats schedules, until it is gone."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from pipeline.discover import load_flows
from pipeline.presence import BEAT, present
from pipeline.processes import celery_command, worker_env
from pipeline.runtime import Runtime
from pipeline.settings import Settings
from pipeline.supervise import Processes
from tests.servers import until

FAULTS = str(Path(__file__).parent / "flows" / "faults.py")
LOCK = "redbeat::lock"
LOCK_SECONDS = 5  # five times the beats' --max-interval


def test_another_beat_takes_over_from_one_that_is_killed_with_the_lock(redis_url):
    runtime = Runtime(Settings(redis_url=redis_url, version="main"))
    flow = load_flows([FAULTS])["scheduled"]
    runtime.states.bind(flow.state).update({"a": {"country": "x"}})
    client, scheduled = runtime.client, f"scheduled:main/{flow.name}"

    def beats() -> list[int]:
        return [process.pid for process in present(client) if process.kind == BEAT]

    env = worker_env(redis_url, [FAULTS], "main")
    beat = celery_command(
        "beat", "-l", "WARNING", "-S", "pipeline.redbeat:RedBeatWaves", "--max-interval", "1"
    )
    with Processes(patience=5) as processes:
        processes.start("worker", celery_command("worker", "-c", "1", "-l", "WARNING"), env)
        for name in ("beat1", "beat2"):
            processes.start(name, beat, env)
        until(lambda: client.exists(scheduled), 40)
        holder = beats()
        assert len(holder) == 1, "the one that waits for the lock does not schedule"
        token = client.get(LOCK)
        os.kill(holder[0], signal.SIGKILL)
        client.delete(scheduled)  # so that the wave is due again
        until(lambda: client.exists(scheduled), LOCK_SECONDS + 15)
        assert client.get(LOCK) not in (None, token)
        assert [pid for pid in beats() if pid != holder[0]]
    assert len(runtime.records.ids()) <= 2, "asked for twice is submitted once"
