"""The command is quick to help, takes in the commands of other packages, and errs in texts."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import EntryPoint

import click
import pytest
from click.testing import CliRunner

from pipeline.cli import COMMANDS, group, main
from pipeline.errors import PipelineError

HEAVY = ("celery", "numpy", "pandas", "redis", "rich", "xgboost")


def invoke(*words: str):
    return CliRunner().invoke(main, words, prog_name="wave")


JOINED = """
import click

@click.command()
def joined():
    '''Join the command from elsewhere.

    With more words.
    '''
    click.echo("joined")
"""


@pytest.fixture
def entry(monkeypatch, tmp_path):
    """Lets the entry-point group hold one entry, of a module with that source."""
    monkeypatch.syspath_prepend(tmp_path)

    def hold(source: str, extra: str = "") -> None:
        (tmp_path / "module_of_another_package.py").write_text(source)
        found = EntryPoint("extra", f"module_of_another_package:joined{extra}", "pipeline.commands")
        monkeypatch.setattr(group, "entry_points", lambda group: [found])
        monkeypatch.delitem(sys.modules, "module_of_another_package", raising=False)

    return hold


def test_help_lists_the_commands_and_loads_none_of_them():
    call = "main(['--help'], 'wave', standalone_mode=False)"
    code = f"import sys; from pipeline.cli import main; {call}; print(*sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    listing, _, loaded = said.rstrip("\n").rpartition("\n")
    assert all(f"\n  {name} " in listing for name in COMMANDS)
    assert not {name for name in loaded.split() if name.partition(".")[0] in HEAVY}


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_has_help_that_begins_like_its_line_in_the_list(name):
    result = invoke(name, "--help")
    assert result.exit_code == 0
    assert result.output.startswith(f"Usage: wave {name} ")
    assert len(COMMANDS[name][1]) < 70


def test_a_misspelt_command_is_answered_with_the_near_ones():
    result = invoke("shw")
    assert result.exit_code == 2
    assert "no command 'shw'. Did you mean show?" in result.stderr


def test_a_command_of_another_package_is_listed_by_its_first_line_without_loading_it(entry):
    entry(JOINED)
    assert "extra  Join the command from elsewhere." in invoke("--help").output
    assert "module_of_another_package" not in sys.modules
    assert invoke("extra").output == "joined\n"


def test_a_command_whose_extra_is_not_installed_says_which(entry):
    entry("import no_such_module", " [aws]")
    result = invoke("extra")
    assert result.exit_code == 2
    assert (
        "wave: the command 'extra' needs 'no_such_module', which comes with the extra [aws]." in result.stderr
    )
    assert "pip install 'celery-waves[aws]'" in result.stderr
    assert "extra" in invoke("--help").output


def test_a_command_that_lacks_a_module_of_no_extra_names_it(entry):
    entry("import no_such_module")
    assert "needs 'no_such_module', which is not installed" in invoke("extra").stderr


def test_an_error_of_ours_is_a_text_and_exit_code_2(monkeypatch):
    @click.command()
    def broken() -> None:
        raise PipelineError("no such thing. Do that.")

    monkeypatch.setattr(type(main), "get_command", lambda *_: broken)
    result = invoke("broken")
    assert (result.exit_code, result.stderr, result.stdout) == (2, "wave: no such thing. Do that.\n", "")


def test_an_interrupt_is_exit_code_130_without_a_word(monkeypatch):
    @click.command()
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(type(main), "get_command", lambda *_: interrupted)
    result = invoke("interrupted")
    assert (result.exit_code, result.output) == (130, "")


def test_the_version_is_told():
    assert invoke("--version").output.startswith("wave ")


def test_a_command_that_imports_its_extra_when_it_runs_says_which_too(entry):
    entry("import click\n@click.command()\ndef joined():\n    import no_such_module", " [aws]")
    result = invoke("extra")
    assert result.exit_code == 2
    assert "comes with the extra [aws]. Install it: pip install 'celery-waves[aws]'" in result.stderr


def test_a_shell_completes_commands(monkeypatch):
    for name, value in {
        "_WAVE_COMPLETE": "bash_complete",
        "COMP_WORDS": "wave sh",
        "COMP_CWORD": "1",
    }.items():
        monkeypatch.setenv(name, value)
    found = CliRunner().invoke(main, prog_name="wave", complete_var="_WAVE_COMPLETE")
    assert found.stdout == "plain,show\n"
