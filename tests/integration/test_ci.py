"""CI itself: its steps and their times."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

CI = Path(__file__).parents[2] / ".ci"


@pytest.fixture
def steps(tmp_path):
    """Run lines of a script that has steps; gives its exit code and output."""

    def run(*lines: str, limit: int = 75):
        head = f"set -euo pipefail; LIMIT={limit}; scratch=$PWD/scratch; again=$PWD/again; . {CI}/steps"
        (tmp_path / "scratch").mkdir()
        script = "\n".join((head, *lines))
        ended = subprocess.run(
            ["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=20
        )
        assert not (tmp_path / "scratch").exists()
        return ended.returncode, ended.stdout.partition("== times\n")[2].splitlines(), ended.stderr

    return run


def test_each_step_is_told_with_its_time(steps):
    code, table, _ = steps('step "the first" sleep 1', 'step "the second" true')
    assert code == 0
    first, second, total = (line.split(None, 2) for line in table)
    assert first[2] == "the first"
    assert int(first[0]) in (1, 2)
    assert second[2] == "the second"
    assert int(total[0]) >= int(first[0])
    assert total[2] == "in all, of 4500 that it may take"


def test_a_step_that_fails_ends_the_run_and_is_told_so(steps, tmp_path):
    (tmp_path / "again").write_text("make integration: tests.one::test_x: it was late\n")
    lines = (
        'step "well" true',
        'broken() { false; echo "went on"; }',
        'step "broken" broken',
        'step "after" true',
    )
    code, table, _ = steps(*lines)
    assert code == 1
    assert [line.split(None, 2)[2] for line in table[:2]] == ["well", "broken: failed"]
    assert table[-2:] == ["== needed a second run", "make integration: tests.one::test_x: it was late"]


def test_a_run_that_takes_too_long_fails(steps):
    code, table, said = steps('step "slow" sleep 1', 'step "after" true', limit=0)
    assert code == 1
    assert said == "over the limit of 0 minutes\n"
    assert [line.split(None, 2)[2] for line in table] == ["slow", "in all, of 0 that it may take"]
