"""The release before: its code as it was, and its workers beside those of today.

A release that changes a record in a new form takes the commit of the one that is out as `RELEASE`.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.local.processes import Workers
from pipeline.local.supervise import Child

RELEASE = "5160519f32dca9ef90478b26b7819024886c1fb2"  # the first one whose records carry their form
ROOT = Path(__file__).parents[2]


def check_out(folder: Path, commit: str = RELEASE) -> Path:
    """Write the code of a commit into a folder. Raises CalledProcessError where git does not hold it."""
    archive = ["git", "-C", str(ROOT), "archive", commit, "pipeline"]
    packed = subprocess.run(archive, check=True, capture_output=True).stdout
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["tar", "-x", "-C", str(folder)], input=packed, check=True)
    return folder


class WorkersOf(Workers):
    """Workers of the code in a folder."""

    def __init__(self, code: Path, redis_url: str, **options: Any) -> None:
        super().__init__(redis_url, **options)
        self._code = str(code)

    def start(self, name: str, command: Sequence[str | Path], env: Mapping[str, str]) -> Child:
        """Start one there: Celery imports from the folder that it is started in before all else."""
        there = ["/bin/sh", "-c", 'cd "$0" && exec "$@"', self._code, *command]
        return super().start(name, there, {**env, "PYTHONPATH": f"{self._code}:{ROOT}"})


def run_with(code: Path, script: str, words: Sequence[str], env: dict[str, str]) -> str:
    """Run a script with the code in a folder, and give what it prints."""
    command, own = [sys.executable, "-c", script, *words], {"PYTHONPATH": str(code)}
    found = subprocess.run(command, cwd=code, env=env | own, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    return found.stdout.strip()
