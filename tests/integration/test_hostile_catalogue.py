"""What somebody who can write to Redis makes a real worker run and read: nothing that its own settings do not allow."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xgboost

from pipeline.serving.catalogue import Catalogue, Entry, Source
from pipeline.serving.status_board import look
from tests.support import hostile
from tests.support.servers import until

ROOT = Path(__file__).parents[2]


@contextmanager
def serve_worker(url: str, *words: str, **env: str) -> Iterator[subprocess.Popen[str]]:
    """`wave serve-worker` in a process of its own, whose own settings allow nothing but what is given."""
    command = [sys.executable, "-m", "pipeline.cli", "--redis", url, "serve-worker", *words]
    own = {**os.environ, "PIPELINE_VERSION": "main", "PYTHONPATH": str(ROOT), "PIPELINE_ALLOW": "", **env}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=own) as process:
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(20)
            finally:
                process.kill()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two versions of a model, and what lies beside their folder."""
    folder = tmp_path / "served"
    folder.mkdir()
    rows = np.arange(20.0).reshape(10, 2)
    for number in (1, 2):
        booster = xgboost.train({"nthread": 1}, xgboost.DMatrix(rows, rows[:, 0] * number), 2)
        booster.save_model(folder / f"{number}.ubj")
    booster.save_model(tmp_path / "elsewhere.ubj")
    return folder


def states(client: Any, model: str) -> dict[str, str]:
    """What the one worker says of each version."""
    view = look(client, "main").get(model)
    return dict(next(iter(view.workers.values())).versions) if view and view.workers else {}


def add(client: Any, model: str, version: str, source: Source) -> None:
    def change(entry: Entry) -> Entry:
        return entry.with_version(version, source).promoted(version)

    Catalogue(client, "main").change(model, change)


def test_a_worker_refuses_what_the_catalogue_alone_names_and_goes_on_with_what_it_has(
    redis_url: str, redis_client: Any, folder: Path, tmp_path: Path, wave
):
    ran = tmp_path / "ran"
    hostile.write(folder / "9.skops", hostile.payloads(ran)["os.system"], 2)
    evil = {
        "3": (Source("callable", "subprocess:check_output"), "it was stored as 'subprocess:check_output'"),
        "4": (Source("smtpd:SMTPServer", "x"), "it was stored as 'smtpd:SMTPServer'"),
        "5": (Source("xgboost", str(tmp_path / "elsewhere.ubj")), "is in none of the folders"),
        "6": (Source("xgboost", f"{folder}/../elsewhere.ubj"), "is in none of the folders"),
        "7": (Source("xgboost", "/etc/passwd"), "set PIPELINE_ALLOW=/etc"),
        "8": (Source("sklearn", str(folder / "9.skops")), "not known to be harmless: os.system"),
    }
    with serve_worker(redis_url, "delays", "--path", str(folder / "1.ubj")):
        until(lambda: states(redis_client, "delays") == {"1": "ready"}, 60)
        for version, (source, text) in evil.items():
            add(redis_client, "delays", version, source)
            until(lambda v=version, t=text: t in states(redis_client, "delays").get(v, ""), 40)
            assert states(redis_client, "delays")["1"] == "ready"
            assert text in wave("serving", "ls").output
        # What its own command line named makes the rollout of the next file work.
        wave("serving", "add", "delays", "2", str(folder / "2.ubj"))
        wave("serving", "promote", "delays", "2")
        until(lambda: states(redis_client, "delays") == {"2": "ready"}, 10)
    assert not ran.exists()


def test_a_worker_whose_live_version_is_refused_ends_and_says_what_to_set(redis_url: str, redis_client: Any):
    Catalogue(redis_client, "main").change(
        "math", lambda entry: entry.with_version("1", Source("callable", "math:fsum")), new=True
    )
    with serve_worker(redis_url, "math") as process:
        _, said = process.communicate(timeout=30)
    assert process.returncode == 2
    assert "If math is yours, set PIPELINE_ALLOW=math, or give that to `wave serve-worker --allow`." in said
    for words, env in ((["--allow", "math:fsum"], {}), ([], {"PIPELINE_ALLOW": "math"})):
        with serve_worker(redis_url, "math", *words, **env):
            until(lambda: states(redis_client, "math") == {"1": "ready"}, 60)
        until(lambda: not states(redis_client, "math"), 10)


def test_a_function_that_the_own_command_line_names_and_the_example_of_0_1_0_are_served(
    redis_url: str, redis_client: Any
):
    stored = {"kind": "callable", "path": "pipeline.serving.examples:mean"}
    entry = json.loads(Entry("mean", live="1").dump()) | {"versions": {"1": stored}}
    redis_client.hset("serve:main", "mean", json.dumps(entry))
    with (
        serve_worker(redis_url, "mean"),
        serve_worker(redis_url, "math", "--path", "math:fsum"),
    ):
        until(lambda: states(redis_client, "mean") == {"1": "ready"}, 60)
        until(lambda: states(redis_client, "math") == {"1": "ready"}, 60)
