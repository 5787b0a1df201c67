"""The simulator: what must hold of any cluster, and what the policies are claimed to do."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from click.testing import CliRunner

from ecs.cli import ecs
from ecs.control.policy import Bounds
from ecs.simulator.comparison import Line, bounds, compare, simulate
from ecs.simulator.policies import Ahead, CpuTracking, Seen
from ecs.simulator.scenario import DEFAULT, FlowModel, Scaling, Scenario, Stage, load
from ecs.simulator.simulation import Arrival, Simulation
from pipeline.errors import SettingsError
from tests.support.scaling import Fixed

SIZES = (1000, 10_000, 100_000)


@pytest.fixture(scope="module")
def scenario() -> Scenario:
    found = load()
    return replace(found, trace=replace(found.trace, waves=2))


@pytest.fixture(scope="module")
def lines(scenario: Scenario) -> dict[tuple[int, str], Line]:
    return {(line.entities, line.policy): line for line in compare(scenario, SIZES)}


def plain(spread: float = 0.0) -> Scenario:
    """Ten shards of one second each, nothing else costs anything."""
    flow = FlowModel((Stage("a", 0.1),), message=0.0, submit=0.0, spread=spread, shard=10)
    return Scenario(flow)


def test_work_is_shared_by_the_slots_that_are_there():
    for tasks, seconds in ((1, 10.0), (5, 2.0), (10, 1.0), (20, 1.0)):
        out = Simulation(plain(), Fixed(tasks), [Arrival(0.0, 100)], tasks).run()
        assert out.times == pytest.approx((seconds,))
        assert out.work == pytest.approx(10.0)


def test_a_task_that_joins_takes_what_is_left():
    out = Simulation(plain(), Fixed(1), [Arrival(0.0, 100)], 1, joins=[4.0]).run()
    assert out.times == pytest.approx((7.0,))


def test_a_source_of_limited_rate_is_not_made_faster_by_more_tasks():
    scenario = plain()
    slow = replace(scenario, flow=replace(scenario.flow, stages=(Stage("a", 0.1, rate=20.0),)))
    for tasks, seconds in ((1, 10.0), (5, 5.0), (20, 5.0)):
        out = Simulation(slow, Fixed(tasks), [Arrival(0.0, 100)], tasks).run()
        assert out.times == pytest.approx((seconds,), rel=0.05)


def test_what_is_paid_is_the_time_of_all_tasks():
    out = Simulation(plain(), Fixed(3), [Arrival(0.0, 100)], 3, until=3600.0).run()
    assert out.hours == pytest.approx(3.0, rel=0.02)
    assert out.dollars == pytest.approx(3 * (0.25 * 0.04048 + 0.5 * 0.004445), rel=0.02)


def test_the_same_seed_gives_the_same_outcome(scenario):
    first, second = (Ahead(scenario.scaling, bounds(scenario)) for _ in range(2))
    assert simulate(scenario, first, 500) == simulate(scenario, second, 500)


def test_waves_take_as_long_whatever_their_size_when_tasks_are_started_ahead(lines):
    times = [lines[size, "ahead"].outcome.longest for size in SIZES]
    assert max(times) <= 1.1 * min(times)
    assert max(times) <= 60.0


def test_waves_are_at_least_twice_as_long_by_cpu_at_equal_cost(lines):
    size = SIZES[-1]  # at the smaller one, even one task all the time costs more
    ahead, cpu = lines[size, "ahead"].outcome, lines[size, "cpu at equal cost"].outcome
    assert cpu.dollars <= ahead.dollars
    assert cpu.mean >= 2 * ahead.mean


def test_starting_ahead_costs_a_small_part_of_having_all_tasks_all_the_time(scenario, lines):
    for size in SIZES:
        ahead = lines[size, "ahead"].outcome
        fixed = simulate(scenario, Fixed(ahead.tasks), size, ahead.tasks)
        assert ahead.dollars < 0.1 * fixed.dollars
        assert ahead.longest < 1.1 * fixed.longest


def test_all_tasks_go_after_the_last_wave(lines):
    assert [tasks for _, tasks, _ in lines[1000, "ahead"].outcome.history][-1] == 0


def test_nothing_flaps(lines):
    """Per wave, the number of tasks rises and then falls, and never rises again in the same wave."""
    for size in SIZES:
        counts = [tasks for _, tasks, _ in lines[size, "ahead"].outcome.history]
        rises = sum(b > a == 0 for a, b in pairwise(counts))
        assert rises == 2


def test_tracking_waits_for_three_values_and_adds_in_proportion():
    tracking = CpuTracking(Scaling(cpu_target=0.5, aws_high=3, aws_low=5), Bounds(1, 1, 100))

    def seen(cpu: float) -> Seen:
        return Seen(0.0, 4, 1, 0.0, cpu)

    assert [tracking(0, seen(1.0), 4) for _ in range(3)] == [4, 4, 8]
    assert [tracking(0, seen(0.1), 8) for _ in range(5)] == [8, 8, 8, 8, 1]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("[flow]", "[flwo]", "has no table [flwo] to fill. Did you mean 'flow'?"),
        ("goal = 60.0", "gaol = 60.0", "[scaling] has no 'gaol'. Did you mean 'goal'?"),
        ("hold = 60.0", "hold = -1.0", "[scaling] hold = -1.0 is below zero"),
        ("stages = [", "stages = 3 # [", "cannot be read"),
        ('name = "collect", ', "", "[flow.stages]:"),
    ],
)
def test_a_wrong_scenario_says_what_is_wrong(tmp_path: Path, old, new, said):
    path = tmp_path / "own.toml"
    path.write_text(DEFAULT.read_text().replace(old, new, 1))
    with pytest.raises(SettingsError) as error:
        load(path)
    assert said in str(error.value)
    assert str(path) in str(error.value)


def test_a_scenario_that_is_not_there_is_named():
    with pytest.raises(SettingsError, match=r"scenario nowhere\.toml cannot be read"):
        load(Path("nowhere.toml"))


def test_the_command_shows_a_table_and_writes_json():
    words = ["simulate", "--entities", "1000", "--policy", "ahead", "--policy", "cpu", "--waves", "1"]
    shown = CliRunner().invoke(ecs, words)
    assert shown.exit_code == 0, shown.output
    assert [line.split()[:2] for line in shown.output.splitlines()[1:3]] == [
        ["1,000", "ahead"],
        ["1,000", "cpu"],
    ]
    found = json.loads(CliRunner().invoke(ecs, [*words, "--json"]).output)
    assert [(one["entities"], one["policy"]) for one in found] == [(1000, "ahead"), (1000, "cpu")]
    assert CliRunner().invoke(ecs, ["simulate", "--pattern"]).output == DEFAULT.read_text()
