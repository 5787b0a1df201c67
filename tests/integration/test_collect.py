"""The ready tasks in real workers: threads, alarms and children of children."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import psutil
import pytest

from pipeline import submit_wave
from pipeline.flows.discover import load_flows
from pipeline.local.processes import Workers
from pipeline.settings import Settings
from pipeline.waves.runtime import Runtime

FLOWS = str(Path(__file__).parent / "flows" / "collectors.py")
DATE = "2026-04-01T07"
KEYS = ["bos", "lax", "stuck"]


class Ten(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"10")

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def sources(tmp_path):
    """The environment of workers: where the web server, the database and the file are."""
    with closing(sqlite3.connect(tmp_path / "plan.db")) as db:
        db.execute("create table plan (route text, seats integer)")
        db.executemany("insert into plan values (?, ?)", [(key, 150) for key in KEYS])
        db.commit()
    (tmp_path / "2026-04-01.csv").write_text("route,hour,sky\nbos,2026-04-01T07:00Z,clear\n")
    with ThreadingHTTPServer(("127.0.0.1", 0), Ten) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield {
            "COLLECTORS_HOME": str(tmp_path),
            "COLLECTORS_URL": f"http://127.0.0.1:{server.server_port}",
            "NO_PROXY": "127.0.0.1",
        }
        server.shutdown()
        thread.join()


def test_ready_tasks_run_in_workers_and_what_is_stuck_is_killed(redis_url, sources):
    flow = load_flows([FLOWS])["collected"]
    runtime = Runtime(Settings(redis_url=redis_url, version="main"))
    with Workers(redis_url, flows=[FLOWS], env=sources, count=1) as workers:
        workers.wait_ready()
        wave = submit_wave(flow, date=DATE, entities=KEYS, runtime=runtime).wait(60)
        commands = {process.name() for process in psutil.Process().children(recursive=True)}
    assert [wave.result("departures", key) for key in KEYS] == [10, 10, 10]
    assert [wave.result("seats", key) for key in KEYS] == [150, 150, 150]
    assert (wave.result("weather", "bos"), wave.statuses("weather")["lax"].observed) == ("clear", False)
    assert [wave.result("load", key) for key in KEYS[:2]] == [1500, 1500]
    assert wave.statuses("load")["stuck"].status == "failed"
    assert not {name for name in commands if "awk" in name}
