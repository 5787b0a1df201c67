"""What holds for every command of `wave`: help, JSON, completion."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from pipeline.cli import main

# They run until they are told to end, or write what is another language already.
WITHOUT_JSON = {
    "up", "web", "serve", "serve-worker", "demo", "ecs control",
    "ecs deploy", "ecs destroy", "ecs clean", "ecs push", "ecs scale", "ecs logs", "ecs run", "ecs diff",
    "ecs template",
}  # fmt: skip


def commands(
    command: click.Command = main, path: tuple[str, ...] = ()
) -> Iterator[tuple[str, click.Command]]:
    """Give each command that is not a group, by its words."""
    if not isinstance(command, click.Group):
        yield " ".join(path), command
        return
    context = click.Context(command)
    for name in command.list_commands(context):
        found = command.get_command(context, name)
        assert found is not None
        yield from commands(found, (*path, name))


ALL = dict(commands())


def test_the_list_of_those_without_json_names_commands_that_are_there():
    assert set(ALL) >= WITHOUT_JSON


@pytest.mark.parametrize("name", sorted(ALL.keys() - WITHOUT_JSON))
def test_every_command_that_prints_data_takes_json(name):
    options = {option for param in ALL[name].params for option in param.opts}
    assert "--json" in options


@pytest.mark.parametrize("name", sorted(ALL))
def test_every_command_has_a_help_whose_lines_are_short(name):
    result = CliRunner().invoke(main, [*name.split(), "--help"], prog_name="wave", terminal_width=100)
    assert result.exit_code == 0, result.output
    assert result.output.startswith(f"Usage: wave {name.split()[0]}")
    assert max(map(len, result.output.splitlines())) <= 100


def completed(words: str, **env: str) -> list[str]:
    """Give what bash would offer for the last of the words."""
    parts = ["wave", *words.split(" ")]
    env = {"_WAVE_COMPLETE": "bash_complete", "COMP_WORDS": " ".join(parts), **env}
    ended = subprocess.run(
        [sys.executable, "-c", "from pipeline.cli import main; main(prog_name='wave')"],
        env=os.environ | env | {"COMP_CWORD": str(len(parts) - 1)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode == 0, ended.stderr
    return [line.partition(",")[2] for line in ended.stdout.splitlines() if line]


def test_a_shell_completes_commands_options_and_flows():
    assert completed("ba") == ["backfill"]
    assert {"--from", "--to", "--json"} <= set(completed("backfill --"))
    assert completed("serving pro") == ["promote"]
    assert "tree" in completed("compile shop --format tr")
    assert completed("submit delays-b", PIPELINE_FLOWS="tasks.delays") == ["delays-backtest"]


def test_a_shell_that_completes_meets_no_error_where_flows_or_redis_cannot_be_read():
    assert completed("submit d", PIPELINE_FLOWS="no_such_module") == []
    assert completed("show ma", REDIS_URL="redis://127.0.0.1:1/0") == []
