"""The release before: its code as it was, and its workers beside those of today.

A release that changes a record in a new form takes the commit of the one that is out as `RELEASE`.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, chdir, contextmanager
from pathlib import Path
from typing import Any

from pipeline.local.processes import Workers

RELEASE = "5160519f32dca9ef90478b26b7819024886c1fb2"  # the first one whose records carry their form
ROOT = Path(__file__).parents[2]


def check_out(folder: Path, commit: str = RELEASE) -> Path:
    """Write the code of a commit into a folder. Raises CalledProcessError where git does not hold it."""
    archive = ["git", "-C", str(ROOT), "archive", commit, "pipeline"]
    packed = subprocess.run(archive, check=True, capture_output=True).stdout
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["tar", "-x", "-C", str(folder)], input=packed, check=True)
    return folder


@contextmanager
def workers_of(code: Path, redis_url: str, **options: Any) -> Iterator[Workers]:
    """Run workers of the code in a folder."""
    with ExitStack() as stack:
        with chdir(code):  # Celery imports from the folder that it is started in before all else
            env = {"PYTHONPATH": str(code)} | options.pop("env", {})
            workers = stack.enter_context(Workers(redis_url, env=env, **options))
        yield workers


def run_with(code: Path, script: str, words: Sequence[str], env: dict[str, str]) -> str:
    """Run a script with the code in a folder, and give what it prints."""
    command, own = [sys.executable, "-c", script, *words], {"PYTHONPATH": str(code)}
    found = subprocess.run(command, cwd=code, env=env | own, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    return found.stdout.strip()
