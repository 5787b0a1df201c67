"""CI itself: its steps and their times, and the second run of one test that failed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

CI = Path(__file__).parents[2] / ".ci"
MAKEFILE = f"it:\n\t@{sys.executable} -m pytest -q $(ARGS)\n"
SUITE = """
import pathlib, pytest
HERE = pathlib.Path(__file__).parent

@pytest.mark.parametrize("name", ["one", "two", "three"])
def test_it(name):
    runs = HERE / f"{name}.runs"
    past = runs.stat().st_size if runs.exists() else 0
    runs.write_text("x" * (past + 1))
    wanted = HERE / f"{name}.fails"
    assert not wanted.exists() or past >= int(wanted.read_text()), f"{name} had a bad moment"
"""


@pytest.fixture
def again(tmp_path):
    """Run a suite of three tests with those that fail so often; gives exit code, output and runs of each."""
    (tmp_path / "Makefile").write_text(MAKEFILE)
    (tmp_path / "test_suite.py").write_text(SUITE)

    def run(**fails: int):
        for name, count in fails.items():
            (tmp_path / f"{name}.fails").write_text(str(count))
        words = [sys.executable, CI / "again.py", "it", "notes"]
        env = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}  # they take a second each time
        ended = subprocess.run(
            words, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60, check=False
        )
        runs = {path.stem: path.stat().st_size for path in tmp_path.glob("*.runs")}
        return ended.returncode, ended.stdout, runs

    return run


def test_all_that_pass_are_run_once(again, tmp_path):
    code, _, runs = again()
    assert code == 0
    assert runs == {"one": 1, "two": 1, "three": 1}
    assert not (tmp_path / "notes").exists()


def test_what_failed_is_run_once_more_by_itself_and_told_with_its_reason(again, tmp_path):
    code, said, runs = again(two=1)
    assert code == 0
    assert runs == {"one": 1, "two": 2, "three": 1}
    line = "make it: test_suite::test_it[two]: AssertionError: two had a bad moment"
    assert line.removeprefix("make it: ") in said
    assert (tmp_path / "notes").read_text() == f"{line}\n"


def test_what_fails_twice_has_failed(again):
    code, _, runs = again(two=2)
    assert code == 1
    assert runs["two"] == 2


def test_two_tests_that_failed_are_too_many_for_a_second_run(again):
    code, said, runs = again(one=1, three=1)
    assert code == 1
    assert runs == {"one": 1, "two": 1, "three": 1}
    assert "2 tests needed a second run, and 1 may" in said
    assert "test_it[one]: AssertionError: one had a bad moment" in said


def test_one_test_after_one_of_an_earlier_suite_is_too_many(again, tmp_path):
    (tmp_path / "notes").write_text("make integration: tests.earlier::test_x: it was late\n")
    code, said, runs = again(one=1)
    assert code == 1
    assert runs["one"] == 1
    assert "tests.earlier::test_x: it was late" in said


def test_a_suite_that_comes_to_no_end_is_not_run_again(again, tmp_path):
    (tmp_path / "conftest.py").write_text("raise SystemExit(3)\n")
    code, _, runs = again()
    assert code == 1
    assert runs == {}


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
