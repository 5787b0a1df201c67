"""A pipe has one maker, and a state one definition: other ones of the same name are refused, naming both."""

from __future__ import annotations

import importlib
import runpy
import sys
from pathlib import Path

import pytest

from pipeline import Flow, FlowError, State, task
from pipeline.flows.discover import Flows, load_flows
from pipeline.flows.makers import check_makers
from pipeline.flows.place import Place, same_note
from tasks import command, http_json

TASKS = """\
from pipeline import Flow, State, task

@task
def value(entity):
    return 1.0
"""


@pytest.fixture
def write(tmp_path, monkeypatch):
    """What writes modules into a folder that is searched, and forgets them when the test ends."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)

    def writer(name: str, text: str) -> Path:
        (tmp_path / name).write_text(text)
        return tmp_path / name

    yield writer
    for name in set(sys.modules) - before:
        del sys.modules[name]


def refused(*names: str) -> str:
    with pytest.raises(FlowError) as caught:
        load_flows(names)
    return str(caught.value)


def made(number):
    @task(name="value")
    def answer(entity):
        return number

    return answer


def test_two_tasks_of_one_name_in_two_modules_are_refused_naming_both_flows_and_both_places(write):
    one = write("one_m.py", TASKS + "flow = Flow('one', [value])\n")
    two = write("two_m.py", "\n\n" + TASKS.replace("1.0", "2.0") + "flow = Flow('two', [value])\n")
    assert refused("one_m", "two_m") == (
        f"the pipe 'value' has two makers: a task of flow 'one' ({one}:3) and another of flow 'two' ({two}:5). "
        "The second would be given what the first has stored. Rename one, or share one task between the flows."
    )


def test_one_task_in_two_flows_is_right(write):
    write("shared_m.py", TASKS)
    write("one_m.py", "from shared_m import *\nflow = Flow('one', [value])\n")
    write("two_m.py", "from shared_m import *\nflow = Flow('two', [value])\n")
    assert list(load_flows(["one_m", "two_m"])) == ["one", "two"]


def test_a_task_that_is_defined_anew_in_its_module_is_another_one(write):
    again = TASKS + "one = Flow('one', [value])\n@task\ndef value(entity):\n    return 2.0\n"
    write("again_m.py", again + "two = Flow('two', [value])\n")
    assert "two makers: a task of flow 'one'" in refused("again_m")


def test_what_a_function_of_the_users_makes_twice_are_two_tasks(write):
    write(
        "made_m.py",
        "from pipeline import Flow, task\n"
        "def made(number):\n"
        "    @task\n"
        "    def value(entity):\n"
        "        return number\n"
        "    return value\n"
        "one, two = [Flow(name, [made(name)]) for name in ('one', 'two')]\n",
    )
    text = refused("made_m")
    assert "made_m.py:3, called from " in text
    assert "made_m.py:7)" in text


def test_ready_tasks_are_placed_where_they_are_declared_and_not_in_what_makes_them(write):
    path = write(
        "ready_m.py",
        "from pipeline import Flow\n"
        "from tasks import http_json\n"
        "one = Flow('one', [http_json('prices', 'https://a.example/{entity}')])\n"
        "two = Flow('two', [http_json('prices', 'https://b.example/{entity}')])\n",
    )
    text = refused("ready_m")
    assert f"flow 'one' ({path}:3)" in text
    assert f"flow 'two' ({path}:4)" in text


@pytest.mark.parametrize(
    "ready", [lambda: http_json("value", "https://a.example"), lambda: command("value", ["true"])]
)
def test_ready_tasks_of_one_name_are_two(ready):
    with pytest.raises(FlowError, match="the pipe 'value' has two makers"):
        Flows([Flow("one", [ready()]), Flow("two", [ready()])])


def test_a_module_that_is_imported_under_two_names_declares_the_same_tasks(write):
    path = write("both_m.py", TASKS + "state = State('shops', source=lambda: ['a'])\n")
    main = runpy.run_path(str(path), run_name="__main__")
    other = importlib.import_module("both_m")
    assert main["value"] is not other.value
    check_makers([Flow("one", [main["value"]], main["state"]), Flow("two", [other.value], other.state)])


def test_a_module_that_is_loaded_again_declares_the_same_tasks_though_its_lines_moved(write):
    path = write("again_m.py", TASKS)
    before = importlib.import_module("again_m").value
    path.write_text("# moved\n" * 50 + TASKS)
    importlib.invalidate_caches()
    after = importlib.reload(sys.modules["again_m"]).value
    assert before is not after
    check_makers([Flow("one", [before]), Flow("two", [after])])


def test_a_flow_that_is_read_counts_too():
    one, two = made(1), made(2)

    @task
    def twice(value):
        return 2 * value

    other = Flow("other", [two])
    with pytest.raises(FlowError, match="'value' has two makers"):
        Flows([Flow("one", [one]), Flow("reads", [twice], reads=other)])


def test_states_of_one_name_and_other_definitions_are_refused_naming_both():
    with pytest.raises(FlowError) as caught:
        Flows(
            [
                Flow("one", [made(1)], State("shops", ttl="7d")),
                Flow("two", [task(name="b")(lambda entity: 1)], State("shops", ttl="8d")),
            ]
        )
    text = str(caught.value)
    assert text.startswith(f"the state 'shops' has two definitions: of flow 'one' ({__file__}:")
    assert text.endswith("Their entities would be mixed. Rename one, or share one State between the flows.")


@pytest.mark.parametrize("other", [State("shops", ttl=7 * 86400), State("shops"), "shops", None])
def test_equal_states_and_such_as_only_name_one_are_right(other):
    flows = [
        Flow("one", [made(1)], State("shops", ttl="7d")),
        Flow("two", [task(name="b")(lambda entity: 1)], other),
    ]
    assert len(Flows(flows)) == 2


def test_states_with_other_sources_are_two():
    one, two = State("shops", source=lambda: ["a"]), State("shops", source=lambda: ["b"])
    with pytest.raises(FlowError, match="the state 'shops' has two definitions"):
        Flows([Flow("one", [made(1)], one), Flow("two", [task(name="b")(lambda entity: 1)], two)])


# Notes for other processes


def noted(write, name: str, text: str) -> dict[str, str]:
    return runpy.run_path(str(write(name, text)))["value"].place.note


def test_a_note_is_known_by_its_file_and_name_and_elsewhere_by_its_text(write, tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "changed").mkdir()
    here = noted(write, "flows_n.py", TASKS)
    assert same_note(here, noted(write, "flows_n.py", "# moved\n" + TASKS.replace("1.0", "2.0")))
    assert same_note(here, noted(write, "other/flows_n.py", TASKS)), "the same file in another folder"
    assert not same_note(here, noted(write, "changed/flows_n.py", TASKS.replace("1.0", "2.0")))
    assert not same_note(here, noted(write, "others_n.py", TASKS))


def test_what_is_declared_in_no_file_is_known_by_its_code():
    def run(text: str) -> Place:
        space: dict = {}
        exec(compile(text, "<stdin>", "exec"), space)
        return space["value"].place

    assert same_note(run(TASKS).note, run(TASKS).note)
    assert not same_note(run(TASKS).note, run(TASKS.replace("1.0", "2.0")).note)


def test_a_task_that_is_made_within_a_statement_of_many_lines_has_a_note(tmp_path, monkeypatch):
    text = """
from pipeline import Flow, task

def value(entity):
    return 1

FLOWS = dict(
    made=Flow("made", [
        task(value)]))
"""
    (tmp_path / "many_lines.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    flow = importlib.import_module("many_lines").FLOWS["made"]
    place = flow.tasks["value"].place
    assert place is not None
    assert place.note["at"].endswith("many_lines.py:9")
