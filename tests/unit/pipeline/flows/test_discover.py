"""Finding flows: in modules, in files, and what is said when there is none."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from pipeline import Flow
from pipeline.errors import ClashError, DefinitionError, FlowError, UnknownName
from pipeline.flows.discover import Flows, load_flows
from pipeline.flows.own_modules import prefer_own
from tests.support.graphs import make

ROOT = Path(__file__).parents[4]

FLOW = """
from pipeline import Flow, task

@task
def departures(entity): ...

@task
def delay(departures): ...
"""
DELAYS = FLOW + "delays = Flow('delays', [departures, delay])\n"


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Write a file into the working folder; what is imported is forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p])

    def write(name: str, text: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text))
        return path

    yield write
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", None)).startswith(str(tmp_path)):
            del sys.modules[name]


def refused(*names: str, error=FlowError) -> str:
    """The text with which names are refused."""
    with pytest.raises(error) as caught:
        load_flows(names)
    return str(caught.value)


# What is found


def test_a_module_is_found_in_the_working_folder_and_by_its_dotted_name(write):
    write("my_flows_a.py", DELAYS)
    write("my_package/__init__.py", "")
    others = DELAYS.replace("'delays'", "'other'").replace("delay", "gap").replace("departures", "starts")
    write("my_package/flows.py", others)
    found = load_flows(["my_flows_a", "my_package.flows"])
    assert list(found) == ["delays", "other"]
    assert list(found["delays"].tasks) == ["departures", "delay"]
    assert found.searched == ("my_flows_a", "my_package.flows")


@pytest.mark.parametrize("name", ["my_flows_b.py", "./my_flows_b.py", "folder/my-flows.py"])
def test_a_file_is_found_by_its_path(write, name):
    write(name, DELAYS)
    assert list(load_flows([name])) == ["delays"]


def test_a_file_finds_the_modules_beside_it(write):
    write("folder/helpers_c.py", FLOW)
    write(
        "folder/my_flows_c.py",
        "from helpers_c import *\nfrom pipeline import Flow\nflow = Flow('delays', [departures])",
    )
    assert list(load_flows(["folder/my_flows_c.py"])) == ["delays"]


def test_a_file_that_is_named_twice_is_loaded_once(write):
    write("my_flows_d.py", DELAYS)
    assert load_flows(["my_flows_d.py"])["delays"] is load_flows(["my_flows_d.py"])["delays"]
    assert list(load_flows(["my_flows_d.py", "my_flows_d"])) == ["delays"]


@pytest.mark.parametrize("wanted", ["second", "b"])
def test_one_flow_is_taken_by_its_name_or_by_its_variables(write, wanted):
    write("my_flows_e.py", FLOW + "a = Flow('first', [departures])\nb = Flow('second', [departures])\n")
    assert list(load_flows([f"my_flows_e:{wanted}"])) == ["second"]
    assert list(load_flows(["my_flows_e"])) == ["first", "second"]


def test_a_flow_under_two_names_is_one(write):
    write("my_flows_f.py", DELAYS + "again = delays\n")
    assert list(load_flows(["my_flows_f"])) == ["delays"]


def test_a_task_is_found_where_flow_and_task_are_known():
    departures = make("departures")
    flows = Flows([Flow("delays", [departures])])
    assert flows.task("delays", "departures") is departures
    assert flows.task("delays", "other") is None
    assert flows.task("other", "departures") is None


# What is not


def test_an_unknown_flow_is_answered_with_where_it_was_looked_for_and_the_near_ones():
    flows = Flows([Flow("delays", [make("a")]), Flow("training", [make("b")])], ["my_flows", "others"])
    assert flows.find("delays").name == "delays"
    with pytest.raises(UnknownName) as caught:
        flows.find("delay")
    assert str(caught.value) == (
        "no flow 'delay' in my_flows, others. Did you mean 'delays'? Found there: delays, training."
    )


def test_an_unknown_flow_where_nothing_was_searched_says_how_to_name_modules():
    with pytest.raises(UnknownName) as caught:
        Flows([]).find("delays")
    assert str(caught.value) == (
        "no flow 'delays': no module was searched. Set PIPELINE_FLOWS=my_flows or give -F my_flows."
    )


def test_an_unknown_flow_of_a_module_is_answered_with_the_near_ones(write):
    write("my_flows_g.py", FLOW + "flow = Flow('delays', [departures])\n")
    assert refused("my_flows_g:delay", error=UnknownName) == (
        "no flow 'delay' in my_flows_g. Did you mean 'delays'? Found there: delays, flow."
    )


def test_two_flows_of_one_name_are_refused(write):
    write("my_flows_h.py", DELAYS)
    write("my_flows_i.py", DELAYS)
    assert refused("my_flows_h", "my_flows_i") == (
        "two flows are named 'delays' in my_flows_h, my_flows_i. A wave is found by its flow's name: rename one."
    )


@pytest.mark.parametrize(("name", "missing"), [("no_flows", "no_flows"), ("no_flows.inner", "no_flows")])
def test_a_module_that_is_missing_is_named(write, name, missing):
    assert refused(name) == (
        f"cannot import {name!r}, which is to hold flows: there is no module {missing!r}. Run this in its folder, "
        "or put the folder on PYTHONPATH."
    )


def test_a_module_whose_own_import_fails_says_so_itself(write):
    write("my_flows_j.py", "import no_such_library")
    with pytest.raises(ModuleNotFoundError, match="no_such_library"):
        load_flows(["my_flows_j"])


def test_a_file_that_is_missing_is_named_with_its_folder(write, tmp_path):
    assert refused("my_flows.py") == f"there is no file {tmp_path / 'my_flows.py'}, which is to hold flows."


@pytest.mark.parametrize("name", ["my_flows_k", "my_flows_k.py"])
def test_a_module_without_a_flow_says_what_to_write(write, name):
    write("my_flows_k.py", FLOW)
    assert refused(name) == f"{name!r} holds no flow. Give it one: flow = Flow('name', [tasks])."


@pytest.mark.parametrize("name", ["", ".flows", "my-flows", "flows.", "folder/flows", ":delays"])
def test_what_is_neither_a_module_nor_a_file_is_refused(write, name):
    assert refused(name) == (
        f"{name.partition(':')[0]!r} is neither the name of a module nor a file that ends in .py."
    )


@pytest.mark.parametrize("name", ["calendar.py", "celery.py"])
def test_a_file_with_the_name_of_another_module_is_refused(write, tmp_path, name):
    write(name, DELAYS)
    before = __import__(name[:-3])
    assert refused(name) == (
        f"{tmp_path / name} has the name of another module that is in use. Rename it, for instance to my_{name}."
    )
    assert sys.modules[name[:-3]] is before


def test_a_file_that_breaks_while_it_is_loaded_can_be_loaded_once_it_is_mended(write):
    write("my_flows_l.py", "1 / 0")
    with pytest.raises(ZeroDivisionError):
        load_flows(["my_flows_l.py"])
    write("my_flows_l.py", DELAYS + "# mended\n")
    assert list(load_flows(["my_flows_l.py"])) == ["delays"]


@pytest.mark.parametrize("name", ["proj/flows.py", "./proj/sub/flows.py"])
def test_a_file_of_a_package_is_a_module_of_it_whose_relative_imports_work(write, tmp_path, name):
    write("proj/__init__.py", "")
    write("proj/helpers.py", FLOW)
    write("proj/sub/__init__.py", "")
    write(name, f"from {'..' if 'sub' in name else '.'}helpers import *\n" + DELAYS.partition(FLOW)[2].replace(
        "delays =", "from pipeline import Flow\ndelays ="))  # fmt: skip
    found = load_flows([name])["delays"]
    module = name.removeprefix("./").removesuffix(".py").replace("/", ".")
    assert load_flows([module])["delays"] is found
    assert sys.modules[module].__package__ == module.rpartition(".")[0]


def test_a_file_whose_package_has_the_name_of_another_one_is_refused(write, tmp_path):
    write("json/__init__.py", "")
    write("json/flows.py", DELAYS)
    assert refused("json/flows.py").startswith(
        f"{tmp_path / 'json'}, which holds json.flows, has the name of another package that is in use, "
    )


# A user's own modules that are named like packages of ours

OTHERS = ("tasks", "forecasting", "ecs")


def run(folder: Path, code: str, **env: str) -> str:
    """Run Python in a folder of the user's, and give the last line of what it says."""
    # As a console script does it: celery-waves is found, and the working folder is not searched.
    command = [sys.executable, "-c", f"import sys; sys.path.remove(''); {code}"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **env}
    found = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    return (found.stdout + found.stderr).strip().splitlines()[-1]


def clash(theirs: Path, name: str, needed: str = ",") -> str:
    return (
        f"your {theirs} has the name of the package {ROOT / name} of celery-waves{needed} and one would hide the "
        f"other. Rename yours, for instance to my_{name}."
    )


LOAD = "from pipeline.flows.discover import load_flows; print(list(load_flows(['my_flows.py'])))"


@pytest.mark.parametrize("name", ["pipeline.py", "pipeline/__init__.py"])
def test_a_module_of_the_users_must_not_hide_the_engine(write, tmp_path, name):
    theirs = write(name, "")
    write("my_flows.py", DELAYS)
    for code in (LOAD, LOAD.replace(".py", "")):
        assert run(tmp_path, code) == f"pipeline.errors.ClashError: {clash(theirs, 'pipeline')}"


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("form", ["{}.py", "{}/__init__.py"])
def test_the_users_own_module_is_what_its_name_means(write, tmp_path, name, form):
    write(form.format(name), DELAYS)
    write("my_flows.py", f"from {name} import delays as flow")
    assert run(tmp_path, LOAD) == "['delays']"
    assert run(tmp_path, LOAD.replace(".py", "")) == "['delays']"


def test_the_users_own_tasks_file_can_hold_the_flows(write, tmp_path):
    write("tasks.py", DELAYS)
    assert run(tmp_path, LOAD.replace("my_flows", "tasks")) == "['delays']"
    assert run(tmp_path, LOAD.replace("my_flows.py", "tasks")) == "['delays']"


def test_what_needs_the_shipped_package_says_what_hides_it(write, tmp_path):
    theirs = write("tasks.py", "")
    write("my_flows.py", "from tasks.sources.http import http_json")
    needed = ", which tasks.sources is in,"
    assert run(tmp_path, LOAD) == f"pipeline.errors.ClashError: {clash(theirs, 'tasks', needed)}"
    said = run(tmp_path, LOAD.replace("my_flows.py", "tasks.delays"))
    assert said == f"pipeline.errors.ClashError: {clash(theirs, 'tasks', ', which tasks.delays is in,')}"


def test_a_module_of_theirs_that_is_missing_is_no_clash(write, tmp_path):
    write("tasks/__init__.py", "")
    write("my_flows.py", "import tasks.absent")
    assert run(tmp_path, LOAD) == "ModuleNotFoundError: No module named 'tasks.absent'"


def test_a_process_that_uses_ours_already_refuses_theirs(write, tmp_path):
    theirs = write("ecs.py", "")
    write("my_flows.py", DELAYS)
    assert run(tmp_path, f"import ecs; {LOAD}") == f"pipeline.errors.ClashError: {clash(theirs, 'ecs')}"


def test_a_module_ahead_of_ours_on_the_import_path_is_theirs_too(write, tmp_path):
    write("first/tasks.py", DELAYS)
    write("second/my_flows.py", "from tasks import *")
    path = f"{tmp_path / 'first'}{os.pathsep}{ROOT}"
    assert run(tmp_path / "second", LOAD, PYTHONPATH=path) == "['delays']"


def test_a_folder_of_that_name_is_a_clash_once_something_is_imported_from_it(write, tmp_path):
    write("tasks/collect.py", "")
    write("my_flows.py", DELAYS)
    assert run(tmp_path, LOAD) == "['delays']"
    write("my_flows.py", "from tasks.collect import departures")
    assert run(tmp_path, LOAD) == f"pipeline.errors.ClashError: {clash(tmp_path / 'tasks', 'tasks')}"


def test_the_command_runs_beside_such_modules_and_names_both_where_it_cannot(write, tmp_path):
    theirs = [write(f"{name}.py", "raise RuntimeError('not for the command')") for name in ("tasks", "ecs")]
    write("my_flows.py", DELAYS)
    listed = run(tmp_path, "from pipeline.cli import main; main(['-F', 'my_flows.py', 'flows'])")
    assert "delays" in listed
    for name, path in zip(("demo", "ecs"), theirs, strict=True):
        said = run(tmp_path, f"from pipeline.cli import main; main(['{name}', '--help'])")
        assert said.startswith(
            f"wave: the command {name!r} cannot run here: your {path} has the name of the package"
        )
        assert str(ROOT / path.stem) in said


def test_modules_of_other_names_and_the_shipped_ones_are_no_clash(write, tmp_path):
    write("my_tasks.py", "")
    write("my_flows.py", DELAYS)
    assert run(tmp_path, LOAD) == "['delays']"
    prefer_own(ROOT)


def test_a_clash_is_an_error_of_imports_too():
    assert issubclass(ClashError, ImportError)


@pytest.mark.parametrize("last", ["sys.exit('no licence')", "raise SystemExit('no licence')"])
def test_a_module_that_exits_when_it_is_imported_is_an_error_that_names_it(tmp_path, last):
    path = tmp_path / "leaving.py"
    path.write_text(f"import sys\n{last}\n")
    with pytest.raises(DefinitionError) as raised:
        load_flows([str(path)])
    assert str(raised.value) == (
        f"importing {str(path)!r} raised SystemExit: no licence. It is run by processes that must go on: let it raise "
        'an Exception, or leave what ends a program below `if __name__ == "__main__":`.'
    )


def test_ctrl_c_while_a_module_is_imported_ends_the_program(tmp_path):
    path = tmp_path / "slow_to_import.py"
    path.write_text("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n")
    with pytest.raises(KeyboardInterrupt):
        load_flows([str(path)])
