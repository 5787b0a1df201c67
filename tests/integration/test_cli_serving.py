"""`wave serve`, `wave serve-worker` and `wave serving`, as a person uses them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from pipeline.cli.serve import Added
from pipeline.serving.catalogue import Catalogue
from tests.support.servers import free_port, until

EXAMPLE = "example:mean"
ROOT = Path(__file__).parents[2]


def test_versions_are_added_promoted_split_and_rolled_back(wave):
    assert wave("serving", "ls").output == "no model is served. Add one: wave serve-worker NAME --path PATH\n"
    assert wave("serving", "add", "mean", "1", EXAMPLE).output == "mean: 1 100%\n"
    assert wave("serving", "add", "mean", "2", EXAMPLE).output == "mean: 1 100%\n"
    found = wave("serving", "split", "mean", "2=10%", "--shadow", "2=0.5", "--key", "shop").output
    assert found == "mean: 1 90%, 2 10%; shadow 2 50%\n"
    assert wave("serving", "rollback", "mean").output == "mean: 1 100%; shadow 2 50%\n"
    assert wave("serving", "promote", "mean", "2").output == "mean: 2 100%\n"
    assert wave("serving", "rollback", "mean").output == "mean: 1 100%\n"
    assert "no worker" in wave("serving", "ls").output
    assert wave("serving", "results", "mean").output == "mean has answered nothing yet.\n"
    assert wave("serving", "remove", "mean").output == "mean is served no more; end its workers.\n"


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("serving", "promote", "men", "1"), "no model 'men' is served. There are: none."),
        (
            ("serving", "add", "mean", "1", "a.pkl"),
            "'a.pkl' does not tell what kind of model it is. Give --kind",
        ),
        (
            ("serving", "add", "a b", "1", EXAMPLE),
            "'a b' cannot be the name of a model: use up to 100 letters",
        ),
        (("serving", "split", "mean", "2=x"), "'2=x' is not a share. One looks like 2=0.1 or 2=10%."),
        (
            ("serve-worker", "mean"),
            "no model 'mean' is served. There are: none. `wave serve-worker NAME --path PATH`",
        ),
        (
            ("serve", "--host", "0.0.0.0"),
            "the API would answer everybody who reaches 0.0.0.0: there are no tokens.",
        ),
        (("serving", "spit"), "Did you mean split?"),
        (("serving", "rm"), "no command 'rm'. Did you mean remove?"),
        (("serving", "list"), "no command 'list'. Did you mean ls?"),
    ],
)
def test_what_cannot_be_done_says_why(wave, words, text):
    assert text in " ".join(wave(*words, code=2).output.split())


def test_a_token_is_shown_once_and_its_hash_is_what_is_kept(wave):
    output = wave("serving", "token", "ana").output.splitlines()
    assert len(output[1].strip()) > 40
    assert output[3].strip().startswith("ana=sha256:")
    assert output[1].strip() not in output[3]


def test_serve_starts_the_api_and_a_worker_and_ends_both(redis_url, redis_client):
    port = free_port()
    command = [sys.executable, "-m", "pipeline.cli", "--redis", redis_url, "serve", "--port", str(port)]
    env = {**os.environ, "PIPELINE_VERSION": "main", "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=env
    ) as process:
        try:
            assert process.stdout is not None
            lines = []
            while not any(line.startswith("ready after") for line in lines):
                lines.append(process.stdout.readline())
                assert lines[-1], "".join(lines)
            place = f"http://127.0.0.1:{port}"
            until(lambda: httpx.get(f"{place}/readyz").status_code == 200, 10)
            answer = httpx.post(f"{place}/v1/models/mean:predict", json={"instances": [[1, 2, 6]]})
            assert answer.json() == {"predictions": [3.0]}
            assert list(Catalogue(redis_client, "main").all()) == ["mean"]
        finally:
            process.send_signal(signal.SIGTERM)
            rest = process.stdout.read()
            process.wait(20)
    assert process.returncode == 0, rest
    assert f"{place}/v1/models/mean:predict" in "".join(lines) + rest


def test_a_worker_that_waits_starts_once_somebody_adds_its_model(redis_url, redis_client, tmp_path):
    ready, beat = tmp_path / "ready", tmp_path / "alive"
    words = ["--redis", redis_url, "serve-worker", "late", "--wait", "--slots", "2"]
    env = {**os.environ, "PIPELINE_VERSION": "main", "PYTHONPATH": str(ROOT), "PIPELINE_HEARTBEAT": str(beat)}
    env["PIPELINE_READY_FILE"] = str(ready)
    with subprocess.Popen(
        [sys.executable, "-m", "pipeline.cli", *words], stderr=subprocess.PIPE, text=True, env=env
    ) as process:
        try:
            assert process.stderr is not None
            assert process.stderr.readline().startswith("waiting: no model 'late' is served.")
            until(beat.exists, 10)
            Added("late", EXAMPLE, "callable", "1").put(Catalogue(redis_client, "main"), {})
            until(ready.exists, 20)
        finally:
            process.send_signal(signal.SIGTERM)
            _, said = process.communicate(timeout=20)
    assert process.returncode == 0, said
