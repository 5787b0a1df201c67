"""@task: what a declaration means, and what is refused."""

from __future__ import annotations

import inspect
from functools import partial

import pytest

from pipeline import Task, task
from pipeline.errors import DurationError, TaskError


def refused(fn=None, /, **options) -> str:
    """The text with which a declaration is refused."""
    if fn is None:

        def fn(departures): ...

        fn.__name__ = "delay"
    with pytest.raises((TaskError, DurationError)) as caught:
        task(**options)(fn) if options else task(fn)
    return str(caught.value)


# What it means


def test_a_task_stays_callable_like_the_plain_function():
    @task
    def delay(departures, weather=None):
        """Mean minutes."""
        return sum(departures), weather

    assert delay([1, 2]) == (3, None)
    assert delay(departures=[1], weather="rain") == (1, "rain")
    assert inspect.getdoc(delay) == "Mean minutes."
    assert str(inspect.signature(delay)) == "(departures, weather=None)"
    assert repr(delay) == "Task('delay')"


def test_parameters_are_inputs_and_a_default_makes_one_optional():
    @task
    def forecast(weather=None, *, delay): ...

    assert forecast.name == "forecast"
    assert forecast.required == ("delay",)
    assert dict(forecast.optional) == {"weather": None}
    assert forecast.inputs == ("delay", "weather")
    assert not forecast.collects


def test_reserved_names_are_no_inputs():
    @task
    def departures(entity, date, state): ...

    assert departures.inputs == ()
    assert departures.wants == {"entity", "date", "state"}
    assert departures.collects


def test_options_have_useful_defaults():
    @task
    def departures(entity): ...

    @task
    def delay(departures): ...

    assert (departures.queue, delay.queue) == ("collect", "compute")
    assert (delay.batch, delay.per, delay.concurrency, delay.rate) == (False, None, 1, None)
    assert delay.timeout is None, "the flow's default"
    assert (delay.time_limit, delay.ttl) == (600.0, 30 * 86400.0)
    assert dict(delay.window) == {}


def test_options_are_read_into_seconds_hours_and_calls_a_second():
    @task(
        name="forecast",
        batch=True,
        window={"delay": "28d", "weather": 7200},
        timeout="20m",
        time_limit="5m",
        ttl="90d",
        queue="gpu",
        rate="30/m",
    )
    def other_name(delay, weather=None): ...

    assert other_name.name == "forecast"
    assert other_name.batch
    assert dict(other_name.window) == {"delay": 28 * 24, "weather": 2}
    assert (other_name.timeout, other_name.time_limit, other_name.ttl) == (1200.0, 300.0, 90 * 86400.0)
    assert (other_name.queue, other_name.rate) == ("gpu", 0.5)


def test_brackets_without_options_do_no_harm():
    @task()
    def delay(departures): ...

    assert isinstance(delay, Task)


def test_an_object_that_can_be_called_can_be_a_task():
    class Collector:
        def __call__(self, entity, date):
            return f"{entity} {date}"

    made = task(name="departures")(Collector())
    assert made.inputs == ()
    assert made("A", 1) == "A 1"


def test_an_argument_that_was_bound_beforehand_is_no_input():
    def collect(source, entity): ...

    assert task(name="departures")(partial(collect, "a source")).inputs == ()


def test_a_task_cannot_be_changed():
    @task(window={"delay": "1d"})
    def forecast(delay, weather=None): ...

    with pytest.raises(AttributeError):
        forecast.name = "other"
    with pytest.raises(TypeError):
        forecast.window["delay"] = 2
    with pytest.raises(TypeError):
        forecast.optional["weather"] = 2


# What is refused


@pytest.mark.parametrize("name", ["two words", "1st", "a/b", "<lambda>", "class", 5])
def test_a_name_that_no_parameter_can_have_is_refused(name):
    assert refused(name=name) == (
        f"task name {name!r} is not a Python name, and inputs are parameter names. "
        "Give it one: @task(name='delay') above a def."
    )


def test_a_lambda_needs_a_name():
    assert "task name '<lambda>' is not a Python name" in refused(lambda: 1)
    assert task(name="one")(lambda: 1).name == "one"


@pytest.mark.parametrize("name", ["entity", "date", "state"])
def test_a_reserved_name_is_refused(name):
    assert refused(name=name) == (
        f"task name {name!r} is reserved for the engine (entity, date, state). Rename the task."
    )


def test_an_unknown_option_is_refused_with_the_near_ones():
    said = refused(timout="5m")
    assert said.startswith(
        "@task has no option 'timout'. Did you mean 'timeout'? It has: batch, concurrency, name, "
    )


def test_what_is_no_function_is_refused():
    with pytest.raises(TaskError) as caught:
        task("delay")
    assert str(caught.value) == "@task takes a function, not 'delay'. Options go by name: @task(batch=True)."


def test_two_decorators_are_one_too_many():
    @task
    def delay(departures): ...

    assert refused(delay) == "'delay' is a task already: remove one @task."


@pytest.mark.parametrize("parameter", ["*args", "**kwargs", "departures, /"])
def test_each_input_needs_a_name_of_its_own(parameter):
    space: dict = {}
    exec(f"def delay({parameter}): ...", space)
    shown = parameter.partition(",")[0]
    assert refused(space["delay"]) == (
        f"task 'delay' has the parameter {shown!r}, but each input needs a name of its own. "
        "Name the pipes that it reads."
    )


def test_a_function_that_hides_its_parameters_is_refused():
    assert "does not tell the names of its parameters" in refused(max, name="largest")


def test_an_async_function_is_refused_because_nobody_would_await_it():
    async def delay(departures): ...

    assert refused(delay) == (
        "task 'delay' is an async function, and nobody awaits it. Make it a plain one; "
        "concurrency=8 calls it in 8 threads."
    )


def test_a_generator_is_refused_because_it_gives_no_value():
    def delay(departures):
        yield departures

    assert refused(delay) == (
        "task 'delay' is a generator, but a task gives its value at once. Replace yield by return."
    )


@pytest.mark.parametrize("option", ["timeout", "time_limit", "ttl"])
@pytest.mark.parametrize("value", ["soon", "5", "", []])
def test_a_bad_duration_names_the_task_and_the_option(option, value):
    assert refused(**{option: value}) == (
        f"task 'delay': {option} {value!r} is not a length of time. Write it like '90s', '5m', '2h' or '28d'."
    )


@pytest.mark.parametrize("option", ["timeout", "time_limit", "ttl"])
def test_a_duration_of_zero_names_the_task_and_the_option(option):
    assert refused(**{option: 0}) == f"task 'delay': {option} 0 must be longer than zero and finite."


def test_a_timeout_on_a_task_without_inputs_is_refused():
    def departures(entity): ...

    assert refused(departures, timeout="5m") == (
        "task 'departures' reads no pipe, so there is nothing to wait for: remove timeout='5m'."
    )


def test_a_bad_rate_names_the_task():
    assert refused(rate="fast") == (
        "task 'delay': rate 'fast' is not a rate. Write it like '50/s', '100/m' or '1000/h'."
    )


def test_a_window_is_over_an_input():
    assert refused(window={"departure": "28d"}) == (
        "task 'delay' has a window over 'departure', which is not one of its inputs. Did you mean 'departures'? "
        "It reads: departures."
    )


def test_a_window_over_nothing_that_is_read_says_so():
    def departures(entity): ...

    assert refused(departures, window={"delay": "28d"}).endswith("It reads: nothing.")


@pytest.mark.parametrize("length", ["30m", "90m", 5000])
def test_a_window_is_whole_hours(length):
    assert refused(window={"departures": length}) == (
        f"task 'delay': window of 'departures' {length!r} is not a whole number of hours."
    )


def test_a_window_that_does_not_say_of_which_input_is_refused():
    assert refused(window="28d") == (
        "task 'delay': window='28d' does not say of which input. Write window={'pipe': '28d'}."
    )


def test_a_batch_task_has_to_know_for_whom_it_answers():
    def delay(date): ...

    assert refused(delay, batch=True) == (
        "task 'delay' is not told for which entities it is to answer: add the parameter `entity`."
    )
    assert task(batch=True, per="partition")(delay).batch, "a scoped one answers for whom it likes"


def test_an_unknown_scope_is_refused():
    assert refused(per="shard") == (
        "task 'delay': per='shard' is not a scope. Use per='partition' or per='wave', or leave it out."
    )


@pytest.mark.parametrize("value", [0, -1, 1.5, True, "4"])
def test_concurrency_is_a_number_of_threads(value):
    assert refused(concurrency=value) == (
        f"task 'delay': concurrency={value!r} is not a number of threads. Use 1 or more."
    )


@pytest.mark.parametrize("option", [{"batch": True}, {"per": "wave"}])
def test_concurrency_is_of_no_use_to_a_task_that_is_called_once(option):
    assert refused(concurrency=4, **option) == (
        "task 'delay' is called once for many entities, so concurrency=4 has nothing to spread. "
        "Remove it, or remove batch/per."
    )


@pytest.mark.parametrize("queue", ["", "a b", "a.b", 5])
def test_a_queue_has_a_plain_name(queue):
    assert (
        refused(queue=queue) == f"task 'delay': queue={queue!r} is not a name. Use letters, digits, - and _."
    )


@pytest.mark.parametrize("name", ["control", "solo"])
def test_the_engines_queues_are_refused(name):
    with pytest.raises(TaskError, match=f"queue='{name}' is kept for the engine"):
        task(name="greedy", queue=name)(lambda entity: 1)
