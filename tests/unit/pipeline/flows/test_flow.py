"""Flow: the graph that is made of tasks, and what is refused."""

from __future__ import annotations

from itertools import pairwise

import pytest

from pipeline import Flow, State, task
from pipeline.errors import DefinitionError, DurationError, FlowError
from pipeline.flows.plan import compile_flow
from pipeline.flows.task import Task


def make(name: str, *inputs: str, **options) -> Task:
    """A task of that name that reads those inputs."""
    space: dict = {}
    exec(f"def {name}({', '.join(inputs)}): ...", space)
    return task(**options)(space[name])


def refused(*tasks, name="delays", error=FlowError, **options) -> str:
    """The text with which a flow is refused."""
    with pytest.raises(error) as caught:
        Flow(name, list(tasks), **options)
    return str(caught.value)


# What it means


def test_tasks_are_ordered_so_that_each_comes_after_its_inputs():
    flow = Flow("f", [make("c", "b"), make("b", "a"), make("a"), make("z")])
    assert list(flow.tasks) == ["a", "z", "b", "c"]
    assert repr(flow) == "Flow('f', [a, z, b, c])"


def test_a_state_may_be_given_by_its_name():
    assert Flow("f", [make("a")], state="routes").state == State("routes")
    routes = State("routes", partition_by="origin")
    assert Flow("f", [make("a")], state=routes).state is routes
    assert Flow("f", [make("a")]).state is None


def test_tasks_may_come_from_a_generator():
    assert list(Flow("f", (make(n) for n in "ab")).tasks) == ["a", "b"]


def test_schedule_and_expiry_are_kept():
    flow = Flow("f", [make("a")], schedule="5 * * * *", expiry="90m")
    assert (flow.schedule, flow.expiry) == ("5 * * * *", 5400.0)


def test_a_default_timeout_is_ten_minutes_and_later_than_each_inputs():
    flow = Flow(
        "f", [make("a"), make("b", "a"), make("c", "b"), make("d", "a", timeout="1h"), make("e", "c", "d")]
    )
    assert dict(flow.timeouts) == {"b": 600.0, "c": 660.0, "d": 3600.0, "e": 3660.0}


def test_the_past_of_a_pipe_is_kept_for_the_longest_window_over_it():
    flow = Flow(
        "f",
        [
            make("a", ttl="2d"),
            make("b", "a", window={"a": "7d"}),
            make("c", "a", window={"a": "28d"}),
        ],
    )
    assert flow.keep("a") == 28 * 86400.0
    assert flow.keep("b") == 30 * 86400.0


# What is refused


def test_a_cycle_is_shown_as_its_path():
    said = refused(make("a"), make("b", "a", "d"), make("c", "b"), make("d", "c"))
    path = said.partition("has a cycle: ")[2].partition(".")[0].split(" -> ")
    assert path[0] == path[-1]
    assert sorted(path[:-1]) == ["b", "c", "d"]
    edges = {("b", "c"), ("c", "d"), ("d", "b")}
    assert set(pairwise(path)) == edges, "from an input to who reads it"
    assert said.endswith("A task cannot wait for its own output; remove one of these inputs.")


def test_a_task_that_reads_itself_is_the_shortest_cycle():
    assert refused(make("a", "a")) == (
        "flow 'delays' has a cycle: a -> a. A task cannot wait for its own output; remove one of these inputs."
    )


def test_two_tasks_of_one_name_are_refused():
    assert refused(make("a"), make("a")) == (
        "flow 'delays' has two tasks named 'a', and a pipe has one maker. Rename one: @task(name=...)."
    )


def test_a_task_that_is_named_twice_is_refused():
    a = make("a")
    assert refused(a, a) == "flow 'delays' names the task 'a' twice. Name it once."


def test_an_unknown_input_is_refused_with_the_near_ones():
    assert refused(make("departures"), make("delay", "departure")) == (
        "flow 'delays': task 'delay' reads 'departure', which no task of the flow makes. "
        "Did you mean 'departures'? Add the task to the flow, or rename the parameter, or name the flow that makes it: "
        "reads=that_flow."
    )


def test_an_unknown_input_that_resembles_nothing_is_refused_without_a_guess():
    assert refused(make("departures"), make("delay", "xyz")) == (
        "flow 'delays': task 'delay' reads 'xyz', which no task of the flow makes. "
        "Add the task to the flow, or rename the parameter, or name the flow that makes it: "
        "reads=that_flow."
    )


def test_a_plain_function_is_no_task():
    def departures(entity): ...

    assert "is not a task. Put @task above the function." in refused(departures)


@pytest.mark.parametrize("tasks", [None, 5, "departures", make("departures")])
def test_tasks_come_as_a_list(tasks):
    with pytest.raises(FlowError) as caught:
        Flow("delays", tasks)
    assert str(caught.value) == (
        f"flow 'delays': {tasks!r} is not a list of tasks. Give one: Flow('delays', [task, ...])."
    )


def test_a_flow_without_tasks_is_refused():
    assert refused() == "flow 'delays' has no tasks. Give it at least one."


@pytest.mark.parametrize("name", ["", "two words", "a/b", "-a", "a\n", None, 5])
def test_a_name_that_no_wave_can_carry_is_refused(name):
    assert refused(make("a"), name=name) == (
        f"flow name {name!r}: use letters, digits and . _ - (it is part of the wave's name)."
    )


def test_a_timeout_that_contradicts_an_inputs_is_refused():
    assert refused(make("a"), make("b", "a", timeout="20m"), make("c", "a", "b", timeout="15m")) == (
        "flow 'delays': task 'c' gives up waiting after 15m, but its input 'b' may itself wait for 20m. "
        "Make the timeout of 'c' longer, or give 'b' a shorter one."
    )


def test_a_timeout_shorter_than_an_inputs_default_is_refused():
    assert "gives up waiting after 10m, but its input 'b' may itself wait for 10m" in refused(
        make("a"), make("b", "a"), make("c", "b", timeout="10m")
    )


def test_a_timeout_is_not_compared_with_inputs_that_wait_for_nothing():
    Flow("f", [make("a", time_limit="1h"), make("b", "a", timeout="1m")])


@pytest.mark.parametrize(
    ("schedule", "said"),
    [
        ("hourly", "flow 'delays': schedule 'hourly' is not a cron line. Write five fields (UTC)"),
        ("61 * * * *", "flow 'delays': schedule '61 * * * *': minute '61' cannot be read, or never comes"),
        (
            "0 0 31 2 *",
            "flow 'delays': schedule '0 0 31 2 *': day-of-month '31' cannot be read, or never comes",
        ),
        ("", "flow 'delays': schedule '' is not a cron line"),
    ],
)
def test_a_bad_schedule_names_the_flow(schedule, said):
    assert refused(make("a"), schedule=schedule).startswith(said)


@pytest.mark.parametrize("expiry", ["later", 0])
def test_a_bad_expiry_names_the_flow(expiry):
    said = refused(make("a"), expiry=expiry, error=DurationError)
    assert said.startswith(f"flow 'delays': expiry {expiry!r} ")


def test_a_window_over_one_pipe_a_partition_is_refused():
    tasks = [make("model", per="partition"), make("forecast", "model", window={"model": "1d"})]
    assert refused(*tasks) == (
        "flow 'delays': task 'forecast' has a window over 'model', which holds one pipe a partition, "
        "not one an entity. Read it without a window."
    )


def test_a_window_over_a_scoped_task_that_answers_for_entities_is_fine():
    Flow("f", [make("share", per="partition", batch=True), make("forecast", "share", window={"share": "1d"})])


def test_a_state_is_a_state_or_its_name():
    assert refused(make("a"), state=["routes"]) == (
        "flow 'delays': state=['routes'] is not a State. Give one, or the name of one."
    )


def test_a_state_name_that_no_key_can_hold_is_refused():
    assert "state name 'my routes'" in refused(make("a"), state="my routes", error=DefinitionError)


def test_a_flow_names_the_near_ones_of_a_task_that_it_has_not():
    flow = Flow("f", [make("delay"), make("weather")])
    with pytest.raises(FlowError) as caught:
        flow.task("delays")
    assert str(caught.value) == (
        "flow 'f' has no task 'delays'. Did you mean 'delay'? It has: delay, weather."
    )


# What other flows have stored


def test_a_flow_reads_what_another_has_stored_and_runs_nothing_of_it():
    hourly = Flow("hourly", [make("a"), make("b", "a"), make("c")])
    flow = Flow("daily", [make("model", "b", "a")], reads=hourly)
    assert list(flow.tasks) == ["model"]
    assert dict(flow.reads) == {"a": hourly.tasks["a"], "b": hourly.tasks["b"]}
    assert set(flow.makers) == {"a", "b", "model"}
    assert compile_flow(flow).steps["model"].inputs == ()


def test_an_own_task_goes_before_a_stored_pipe_of_its_name():
    own = make("a")
    flow = Flow("daily", [own, make("model", "a")], reads=[Flow("hourly", [make("a")])])
    assert flow.makers["a"] is own
    assert not flow.reads


def test_a_window_over_a_stored_pipe_must_not_be_longer_than_it_is_kept():
    model = make("model", "a", window={"a": "60d"})
    assert refused(model, name="daily", reads=Flow("hourly", [make("a")])) == (
        "flow 'daily': task 'model' reads 60d of 'a', of which flow 'hourly' keeps 30d. Let that one keep more: "
        "Flow('hourly', ..., keep={'a': '60d'})."
    )
    hourly = Flow("hourly", [make("a")], keep={"a": "60d"})
    assert hourly.keep("a") == 60 * 86400
    assert "a" in Flow("daily", [model], reads=hourly).reads


def test_a_window_over_a_stored_pipe_of_a_partition_is_refused():
    said = refused(
        make("model", "a", window={"a": "2d"}),
        reads=Flow("hourly", [make("a", "b", per="partition"), make("b")]),
    )
    assert "has a window over 'a', which holds one pipe a partition" in said


def test_a_pipe_that_two_flows_make_in_different_ways_is_refused():
    said = refused(make("model", "a"), reads=[Flow("f", [make("a")]), Flow("g", [make("a")])])
    assert "'a' is made by several of the flows that it reads, in different ways: f, g" in said
    shared = make("a")
    assert Flow("h", [make("model", "a")], reads=[Flow("f", [shared]), Flow("g", [shared])]).reads


def test_what_is_read_from_must_be_a_flow():
    assert "reads=Task('a') is not a flow. Give the one" in refused(make("model", "a"), reads=[make("a")])


def test_only_a_pipe_of_the_flow_can_be_kept_longer():
    said = refused(make("delay"), keep={"delays": "60d"})
    assert said == (
        "flow 'delays' is to keep 'delays', which no task of it makes. Did you mean 'delay'? It has: delay."
    )
    assert "keep of 'delay'" in refused(make("delay"), keep={"delay": "soon"}, error=DurationError)


def test_a_flow_is_extended_by_tasks_and_by_longer_pasts_and_is_else_the_same():
    stored = Flow("stored", [make("z")])
    flow = Flow(
        "f", [make("a", "z")], state="s", schedule="5 * * * *", expiry="2h", reads=stored, keep={"a": "90d"}
    )
    longer = flow.extended([make("b", "a")], keep={"a": "60d"})
    assert list(longer.tasks) == ["a", "b"]
    assert (longer.name, longer.state, longer.schedule, longer.expiry) == (
        flow.name,
        flow.state,
        flow.schedule,
        flow.expiry,
    )
    assert longer.keep("a") == 90 * 86400
    assert longer.reads == flow.reads
    assert list(flow.tasks) == ["a"]
