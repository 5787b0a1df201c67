"""The README's program runs as printed, and its session looks as printed."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def block(mark: str, language: str) -> str:
    """The code that follows a comment of the README which begins with `mark`."""
    found = re.search(rf"<!-- {mark}.*?-->\n```{language}\n(.*?)```", README, re.DOTALL)
    assert found, f"the README has no block {mark!r}"
    return found[1]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "my_flows.py").write_text(block("program", "python"))
    return tmp_path


@pytest.fixture
def environ() -> dict[str, str]:
    """What a user's shell has: no setting of ours."""
    ours = ("REDIS_URL", "PIPELINE_")
    env = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return env | {"PYTHONPATH": str(ROOT), "COLUMNS": "100"}


def wave(*words: str) -> list[str]:
    return [sys.executable, "-m", "pipeline.cli", *words]


def test_the_program_is_short():
    assert len([line for line in block("program", "python").splitlines() if line.strip()]) <= 15


def test_the_session_is_what_a_user_sees(folder, environ):
    command = [*wave("up", "my_flows.py"), "--workers", "1"]
    with subprocess.Popen(command, cwd=folder, env=environ, stdout=subprocess.PIPE, text=True) as up:
        try:
            for line in up.stdout:
                if line.startswith("ready"):
                    break
            assert up.poll() is None
            lines = iter(block("session", "console").splitlines())
            for line in lines:
                if line.startswith("$ "):
                    words = line.removeprefix("$ ").replace("python ", f"{sys.executable} ", 1).split()
                    words = wave(*words[1:]) if words[0] == "wave" else words
                    found = subprocess.run(
                        words, cwd=folder, env=environ, capture_output=True, text=True, timeout=60
                    )
                    assert found.returncode == 0, found.stderr
                    expected = found.stdout.splitlines()
                    assert [next(lines) for _ in expected] == expected
        finally:
            up.send_signal(signal.SIGINT)
            up.wait(30)
    assert not (folder / ".wave-up").exists()


def test_the_unit_test_passes(folder, environ):
    (folder / "test_weather.py").write_text(
        "\n".join(re.findall(r"```python\n(from my_flows.*?)```", README, re.DOTALL))
    )
    found = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_weather.py"],
        cwd=folder,
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "1 passed" in found.stdout, found.stdout + found.stderr
