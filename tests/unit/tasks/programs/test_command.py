"""Tasks in any language: what a command gets, what it may answer, and how it may fail."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pytest

from pipeline import Flow, task
from pipeline.errors import DurationError, TaskError, TimedOut
from pipeline.flows.entity import Entity
from pipeline.testing import run_wave
from tasks.errors import CommandError, SourceError
from tasks.programs.command import command
from tasks.programs.process import run

DATE = datetime(2013, 6, 25, 13, tzinfo=UTC)
COMMANDS = Path(__file__).parent / "commands"

# Answers with the entity's key in capitals, from {"entity":"jfk",...}; what it does besides comes first.
CAPITALS = """
{ match($0, /"entity":"[^"]*"/); key = substr($0, RSTART + 10, RLENGTH - 11) }
%s
{ printf "{\\"entity\\":\\"%%s\\",\\"value\\":\\"%%s\\"}\\n", key, toupper(key); fflush() }
"""


# Answers with the whole line.
ECHO = 's/.*"entity":"\\([^"]*\\)".*/{"entity":"\\1","value":&}/'


def awk(name: str = "capitals", first: str = "", **options):
    """A task in awk that answers with keys in capitals, after it did something else."""
    return command(name, ["awk", CAPITALS % first], **options)


def sh(script: str, **options):
    """A task in sh."""
    return command("code", ["sh", "-c", script], **options)


def python(script: str, **options):
    """A task in another Python, without this one's environment."""
    return command("code", [sys.executable, "-I", "-c", script], **options)


def error(made, *entities: str, kind: type = SourceError, **inputs) -> str:
    """The text with which a whole batch fails."""
    with pytest.raises(kind) as caught:
        made(list(entities or ("jfk", "lga")), DATE, **inputs)
    return str(caught.value)


def refused(*args, **options) -> str:
    """The text with which a declaration is refused."""
    with pytest.raises((TaskError, DurationError)) as caught:
        command(*args, **options)
    return str(caught.value)


def gone(pid: int) -> bool:
    """Whether a process ends within 5 s."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True  # it waits for its parent to look, which is not one of ours
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.01)
    return False


# What it gets


def test_a_task_in_awk_computes_from_pipes_within_a_wave():
    @task
    def delay(entity):
        return {"jfk": 30.0, "lga": -5.0, "ewr": 10.0}[entity]

    @task
    def weather(entity):
        return "storm" if entity == "jfk" else None

    risk = command(
        "risk", ["awk", "-f", str(COMMANDS / "risk.awk")], inputs=["delay"], optional={"weather": None}
    )
    wave = run_wave(Flow("risks", [delay, weather, risk]), ["jfk", "lga", "ewr"], DATE)
    assert wave.result("risk", "jfk") == 0.75
    assert wave.result("risk", "ewr") == 0.25
    status = wave.statuses("risk")["lga"]
    assert (status.status, status.observed) == ("finished", False)
    assert wave.errors() == {}


def test_each_line_holds_entity_date_features_and_inputs():
    made = command(
        "echo", ["sed", 's/.*/{"entity":"jfk","value":&}/'], inputs=["delay"], optional={"weather": "fair"}
    )
    jfk = Entity("jfk", {"origin": "JFK", "runways": 4}, "JFK")
    assert made([jfk], DATE, {"jfk": 12.5}, {}) == {
        "jfk": {
            "entity": "jfk",
            "date": "2013-06-25T13:00:00Z",
            "features": {"origin": "JFK", "runways": 4},
            "delay": 12.5,
            "weather": "fair",
        }
    }


def test_windows_are_lists_of_numbers_with_null_for_what_is_missing():
    made = command(
        "echo",
        ["sed", ECHO],
        inputs=["delay"],
        optional={"cancelled": None},
        window={"delay": "3h", "cancelled": "3h"},
    )
    hours = pd.date_range(end=DATE, periods=3, freq="h")
    delay = pd.DataFrame({"jfk": [1.0, np.nan, 3.0], "lga": [4.0, 5.0, 6.0]}, index=hours)
    cancelled = pd.DataFrame({"jfk": [np.nan] * 3, "lga": [0.0, np.nan, 0.0]}, index=hours)
    answer = made(["jfk", "lga"], DATE, delay, cancelled)
    assert [answer[key]["delay"] for key in ("jfk", "lga")] == [[1.0, None, 3.0], [4.0, 5.0, 6.0]]
    assert [answer[key]["cancelled"] for key in ("jfk", "lga")] == [None, [0.0, None, 0.0]]


def test_the_pipe_of_a_scope_is_sent_whole_when_it_is_named_as_shared():
    made = command("echo", ["sed", ECHO], inputs=["rates"], shared=["rates"])
    answer = made(["jfk", "lga"], DATE, {"eur": 1.1})
    assert [answer[key]["rates"] for key in ("jfk", "lga")] == [{"eur": 1.1}, {"eur": 1.1}]


@pytest.mark.parametrize("given", [3.0, {"eur": 1.1}, [1, 2]])
def test_the_pipe_of_a_scope_that_is_not_named_as_shared_is_an_error(given):
    made = command("risk", ["cat"], inputs=["delay"], optional={"rates": None})
    text = error(made, delay={"jfk": 1, "lga": 2}, rates=given)
    assert text == (
        f"command 'risk': the input 'rates' is one value for all entities, a {type(given).__name__}. "
        "Say so: shared=['rates']."
    )


def test_it_runs_in_its_folder_with_its_environment(tmp_path):
    (tmp_path / "answer").write_text('{"entity": "jfk", "value": "from the folder"}\n')
    made = sh(
        'cat answer; echo "{\\"entity\\":\\"lga\\",\\"value\\":\\"$CITY $HOME\\"}"',
        cwd=tmp_path,
        env={"CITY": "New York"},
    )
    home = os.environ.get("HOME", "")
    assert made(["jfk", "lga"], DATE) == {"jfk": "from the folder", "lga": f"New York {home}"}


def test_a_relative_program_is_looked_for_in_the_folder(tmp_path):
    script = tmp_path / "answer.sh"
    script.write_text('#!/bin/sh\necho \'{"entity": "jfk", "value": 1}\'\n')
    script.chmod(0o755)
    assert command("code", ["./answer.sh"], cwd=tmp_path)(["jfk"], DATE) == {"jfk": 1}


def test_there_is_no_shell():
    made = command("echo", ["printf", "%s", '{"entity":"jfk","value":"$HOME; `date` *"}'])
    assert made(["jfk"], DATE) == {"jfk": "$HOME; `date` *"}


def test_much_goes_in_and_out_without_a_jam():
    keys = [f"e{i}" for i in range(2000)]
    made = command("echo", ["sed", ECHO], inputs=["text"])
    answer = made(keys, DATE, dict.fromkeys(keys, "x" * 1000))
    assert len(answer) == 2000
    assert answer["e1999"]["text"] == "x" * 1000


def test_a_command_that_does_not_read_its_lines_may_answer_all_the_same():
    keys = [f"e{i}" for i in range(5000)]
    made = sh('exec <&-; seq 0 4999 | sed \'s/.*/{"entity":"e&","value":&}/\'')
    assert made(keys, DATE)["e4999"] == 4999


def test_it_works_in_a_thread_as_well():
    answers = []
    worker = threading.Thread(target=lambda: answers.append(awk()(["jfk"], DATE)))
    worker.start()
    worker.join(10)
    assert answers == [{"jfk": "JFK"}]


# The declaration


def test_it_takes_the_options_of_a_task():
    made = command(
        "risk",
        ["cat"],
        inputs=["delay"],
        optional={"weather": None},
        window={"delay": "28d"},
        timeout="20m",
        time_limit="5m",
        ttl="60d",
        queue="r",
        rate="5/s",
    )
    assert (made.required, dict(made.optional)) == (("delay",), {"weather": None})
    assert made.wants == {"entity", "date"}
    assert made.batch
    assert dict(made.window) == {"delay": 28 * 24}
    assert (made.timeout, made.time_limit, made.ttl) == (1200.0, 300.0, 60 * 86400.0)
    assert (made.queue, made.rate) == ("r", 5.0)


def test_without_inputs_it_is_a_collection_task():
    assert command("departures", ["cat"]).queue == "collect"
    assert command("risk", ["cat"], inputs=["departures"]).queue == "compute"


@pytest.mark.parametrize("argv", ["./risk.sh --fast", [], ["sh", 1]])
def test_a_command_is_a_list_of_texts(argv):
    assert refused("risk", argv) == (
        f"command 'risk': {argv!r} is not a command. Give a list of texts, as there is no shell: ['./risk.sh', "
        "'--fast'], or, to have one, ['sh', '-c', '...']."
    )


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"inputs": "delay"}, "command 'risk': inputs='delay' is a text. Give a list: inputs=['delay']."),
        ({"inputs": ["mean delay"]}, "command 'risk': the input 'mean delay' is not a name of a pipe."),
        (
            {"inputs": ["features"]},
            "command 'risk': the input 'features' is a name that each line has already. Rename the pipe.",
        ),
        (
            {"inputs": ["delay"], "optional": {"delay": 0}},
            "command 'risk' names the input 'delay' twice. Name it once, in inputs or in optional.",
        ),
        (
            {"inputs": ["rates"], "shared": ["rate"]},
            "command 'risk': shared=['rate'] is to be a list of those inputs that all entities have in common. "
            "Did you mean 'rates'? Its inputs: rates.",
        ),
        ({"batch": True}, "command 'risk' takes no batch: a command always works on a batch."),
        (
            {"per": "wave"},
            "command 'risk' takes no per: a command runs for each entity. Give it a scope's pipe as an input named in "
            "shared=[...].",
        ),
        (
            {"time_limt": "5m"},
            "command 'risk' has no option 'time_limt'. Did you mean 'time_limit' or 'timeout'? Those of every "
            "task are: concurrency, queue, rate, time_limit, timeout, ttl, window.",
        ),
        (
            {"time_limit": "soon"},
            "command 'risk': time_limit 'soon' is not a length of time. Write it like '90s', '5m', '2h' or '28d'.",
        ),
    ],
)
def test_a_wrong_declaration_is_refused(options, text):
    assert refused("risk", ["cat"], **options) == text


def test_the_name_comes_first():
    assert refused(["./risk.sh"], ["cat"]) == (
        "command takes the task's name first, not ['./risk.sh']: command('delay', ...)."
    )


# How it may fail


def test_a_program_that_is_not_there(tmp_path):
    assert error(command("risk", ["no-such-program"])) == (
        "command 'risk' cannot be started: there is no 'no-such-program' on PATH, or what its first line (#!) names is "
        "not there."
    )
    assert error(command("risk", ["./risk.sh"], cwd=tmp_path)) == (
        f"command 'risk' cannot be started: there is no './risk.sh' in {str(tmp_path)!r}, or what its first line (#!) "
        "names is not there."
    )
    assert error(command("risk", ["cat"], cwd=tmp_path / "gone")) == (
        f"command 'risk' cannot be started: there is no folder {str(tmp_path / 'gone')!r} to run it in."
    )


def test_a_program_that_may_not_be_executed(tmp_path):
    script = tmp_path / "risk.sh"
    script.write_text("echo\n")
    assert error(command("risk", [str(script)])) == (
        f"command 'risk' cannot be started: '{script}' may not be executed. Allow it: chmod +x."
    )
    script.chmod(0o755)
    assert error(command("risk", [str(script)])) == (
        f"command 'risk' cannot be started: '{script}': Exec format error. A script wants a first line like #!/bin/sh."
    )


def test_exit_code_and_stderr_are_in_the_text():
    text = error(sh("cat > /dev/null; echo 'no license' >&2; exit 3"), "jfk", kind=CommandError)
    assert (
        text == "command 'code' gave no answer for 'jfk': it ended with exit code 3. Its stderr: no license"
    )


def test_of_a_long_stderr_the_end_is_shown():
    text = error(
        sh("cat > /dev/null; seq 1 100000 >&2; echo 'the reason' >&2; exit 1"), "jfk", kind=CommandError
    )
    assert text.endswith("the reason")
    assert "exit code 1. Its stderr: ..." in text
    assert len(text) < 1200


def test_a_signal_is_named():
    text = error(sh("cat > /dev/null; kill -KILL $$"), "jfk", kind=CommandError)
    assert (
        text
        == "command 'code' gave no answer for 'jfk': it was ended by SIGKILL, and wrote nothing on stderr."
    )


def test_a_command_that_fails_without_entities_too_is_not_tried_for_each(tmp_path):
    runs = tmp_path / "runs"
    made = sh(f"echo run >> {runs}; cat > /dev/null; echo 'no database' >&2; exit 2")
    text = error(made, *(f"e{i}" for i in range(100)))
    assert (
        text
        == "command 'code' ended with exit code 2, even when it is asked for nobody. Its stderr: no database"
    )
    assert runs.read_text().count("run") == 2


def test_whom_it_fails_for_is_found_and_the_others_are_answered(tmp_path):
    runs = tmp_path / "runs"
    keys = [f"e{i}" for i in range(64)]
    made = awk(
        first=f'NR == 1 {{ print "run" >> "{runs}" }} key == "e40" {{ print "no runway" > "/dev/stderr"; exit 3 }}'
    )
    answer = made(keys, DATE)
    failed = answer.pop("e40")
    assert answer == {key: key.upper() for key in keys if key != "e40"}
    assert isinstance(failed, CommandError)
    assert str(failed) == (
        "command 'capitals' gave no answer for 'e40': it ended with exit code 3. Its stderr: no runway"
    )
    assert runs.read_text().count("run") < 12


def test_it_is_found_as_well_when_nobody_is_answered_beside_it():
    keys = [f"e{i}" for i in range(20)]
    script = """
import sys, json
keys = [json.loads(line)["entity"] for line in sys.stdin]
if "e7" in keys: sys.exit("division by zero")
for key in keys: print(json.dumps({"entity": key, "value": len(keys)}))
"""
    answer = python(script)(keys, DATE)
    assert [key for key in keys if isinstance(answer[key], CommandError)] == ["e7"]
    assert str(answer["e7"]) == (
        "command 'code' gave no answer for 'e7': it ended with exit code 1. Its stderr: division by zero"
    )


def test_a_wave_keeps_the_answers_beside_a_failure():
    made = awk(first='key == "lga" { exit 3 }')
    wave = run_wave(Flow("f", [made]), ["ewr", "jfk", "lga"], DATE)
    assert {key: s.status for key, s in wave.statuses("capitals").items()} == {
        "ewr": "finished",
        "jfk": "finished",
        "lga": "failed",
    }
    assert wave.result("capitals", "jfk") == "JFK"
    assert wave.errors() == {
        "capitals": {
            "lga": "command 'capitals' gave no answer for 'lga': it ended with exit code 3, "
            "and wrote nothing on stderr."
        }
    }


def test_in_a_wave_who_is_not_answered_in_time_reads_as_timed_out():
    made = sh('echo \'{"entity":"jfk","value":1}\'; sleep 60', time_limit="2s")
    wave = run_wave(Flow("f", [made]), ["jfk", "lga"], DATE)
    assert wave.result("code", "jfk") == 1
    assert str(wave.statuses("code")["lga"]) == "failed: timed out"


def test_whom_it_leaves_out_fails_by_name():
    answer = awk(first='key == "lga" { next }')(["jfk", "lga"], DATE)
    assert answer["jfk"] == "JFK"
    assert str(answer["lga"]) == (
        "command 'capitals' gave no answer for 'lga': it ended well without a line for it, and wrote nothing on stderr."
    )


def test_it_may_say_what_went_wrong_for_an_entity():
    made = sh(
        'cat > /dev/null; echo \'{"entity":"jfk","value":null}\'; echo \'{"entity":"lga","error":"no runway"}\''
    )
    answer = made(["jfk", "lga"], DATE)
    assert answer["jfk"] is None
    assert isinstance(answer["lga"], CommandError)
    assert str(answer["lga"]) == "no runway"


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("loading model", "is not JSON: 'loading model'"),
        ('{"entity":"jfk","value":NaN}', 'is not JSON: \'{"entity":"jfk","value":NaN}\''),
        ("[1, 2]", "is not a JSON object with an \"entity\": '[1, 2]'"),
        ('{"value":1}', 'is not a JSON object with an "entity": \'{"value":1}\''),
        (
            '{"entity":"bos","value":1}',
            'is for an entity that it was not asked for: \'{"entity":"bos","value":1}\'',
        ),
        ('{"entity":7,"value":1}', 'is for an entity that it was not asked for: \'{"entity":7,"value":1}\''),
        ('{"entity":"lga"}', 'has neither a "value" nor an "error": \'{"entity":"lga"}\''),
        ('{"entity":"jfk","value":2}', 'is a second answer for its entity: \'{"entity":"jfk","value":2}\''),
    ],
)
def test_a_line_that_cannot_be_read_is_shown_and_the_others_count(line, what):
    made = command("code", ["printf", "%s\n", '{"entity":"jfk","value":1}', line])
    answer = made(["jfk", "lga"], DATE)
    assert answer["jfk"] == 1
    assert str(answer["lga"]) == f"command 'code' gave no answer for 'lga': line 2 of its answer {what}"


def test_of_a_long_line_the_beginning_is_shown():
    answer = command("code", ["printf", "%s\n", "x" * 5000])(["jfk", "lga"], DATE)
    assert str(answer["lga"]).endswith(f"line 1 of its answer is not JSON: '{'x' * 200}'...")


def test_a_stray_line_beside_all_answers_is_logged(caplog):
    made = command("code", ["printf", "%s\n", "loading", '{"entity":"jfk","value":1}'])
    assert made(["jfk"], DATE) == {"jfk": 1}
    assert caplog.messages == [
        "command 'code' answered for all, but line 1 of its answer is not JSON: 'loading'"
    ]


def test_an_input_that_json_cannot_hold_fails_its_entity():
    made = command("echo", ["sed", 's/.*/{"entity":"jfk","value":1}/'], inputs=["page"])
    answer = made(["jfk", "lga"], DATE, {"jfk": "text", "lga": b"bytes"})
    assert answer["jfk"] == 1
    assert str(answer["lga"]) == (
        "'page' of 'lga' cannot be sent as JSON: Type is not JSON serializable: bytes."
    )


# Time


def test_the_time_limit_kills_all_its_processes_and_keeps_what_was_answered(tmp_path):
    pids = tmp_path / "pids"
    made = sh(
        f'read line; echo \'{{"entity":"jfk","value":1}}\'; sleep 60 & echo $! $$ > {pids}; wait',
        time_limit="2s",
    )
    began = time.monotonic()
    answer = made(["jfk", "lga"], DATE)
    assert time.monotonic() - began < 10
    assert answer["jfk"] == 1
    assert isinstance(answer["lga"], TimedOut)
    assert str(answer["lga"]) == "not done within the time limit of 2 s"
    assert all(gone(int(pid)) for pid in pids.read_text().split())


def test_nobody_answered_in_time_is_timed_out():
    assert (
        error(sh("sleep 60", time_limit="0.3s"), kind=TimedOut) == "not done within the time limit of 0.3 s"
    )


def test_half_a_line_before_the_time_limit_is_no_answer():
    made = sh(
        'echo \'{"entity":"jfk","value":1}\'; printf \'{"entity":"lga","va\'; sleep 60', time_limit="2s"
    )
    answer = made(["jfk", "lga"], DATE)
    assert answer["jfk"] == 1
    assert isinstance(answer["lga"], TimedOut)


def test_an_exception_kills_its_processes(tmp_path):
    pids = tmp_path / "pids"

    def interrupt(*_):
        raise KeyboardInterrupt

    def when_started():
        while not pids.exists() or not pids.read_text().endswith("\n"):
            time.sleep(0.01)
        signal.pthread_kill(threading.main_thread().ident, signal.SIGALRM)

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        watcher = threading.Thread(target=when_started)
        watcher.start()
        with pytest.raises(KeyboardInterrupt):
            # Its start is over when it tells of itself.
            sh(f"sleep 0.3; sleep 60 & echo $! $$ > {pids}; wait")(["jfk"], DATE)
        watcher.join(10)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert all(gone(int(pid)) for pid in pids.read_text().split())


def test_what_it_leaves_running_is_not_waited_for(tmp_path):
    pid = tmp_path / "pid"
    began = time.monotonic()
    made = sh(f'sleep 60 & echo $! > {pid}; echo \'{{"entity":"jfk","value":1}}\'')
    assert made(["jfk"], DATE) == {"jfk": 1}
    assert time.monotonic() - began < 5
    assert gone(int(pid.read_text()))


def test_endless_output_is_stopped():
    ran = run(["yes"], b"", 30, max_output=100_000)
    assert ran.end == "size"
    assert len(ran.output) == 100_000


def test_endless_text_on_stderr_is_stopped_too():
    ran = run(["sh", "-c", "yes >&2"], b"", 30, max_output=100_000)
    assert (ran.end, ran.output) == ("size", b"")
    assert len(ran.errors) < 1100


def test_endless_output_is_an_error_that_says_so(monkeypatch):
    monkeypatch.setattr("tasks.programs.program.MAX_OUTPUT", 2 * 2**20)
    text = error(command("code", ["yes"]), "jfk", kind=CommandError)
    assert text == (
        "command 'code' gave no answer for 'jfk': it was stopped when it had written 2 MB, and wrote nothing on stderr."
    )


def test_no_open_files_are_left():
    awk()(["jfk"], DATE)
    before = psutil.Process().num_fds()
    for _ in range(5):
        awk()(["jfk"], DATE)
    assert psutil.Process().num_fds() == before


def test_the_answer_is_json_of_any_kind():
    value = {"mean": 1.5, "list": [1, None, "ü"], "flag": True}
    made = command("code", ["printf", "%s\n", json.dumps({"entity": "jfk", "value": value})])
    assert made(["jfk"], DATE) == {"jfk": value}
