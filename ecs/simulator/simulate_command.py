"""`wave ecs simulate`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from ecs.simulator.comparison import POLICIES, Line, compare, day
from ecs.simulator.outcome import Outcome
from ecs.simulator.scenario import DEFAULT, Scenario, load
from pipeline.cli.options import json_option
from pipeline.cli.output import table, write_json
from pipeline.cli.waiting import counted
from pipeline.formatting import length


@click.command()
@click.option(
    "--scenario", "path", type=click.Path(path_type=Path), help="TOML file; the own one is the pattern."
)
@click.option(
    "--entities", type=click.IntRange(1), multiple=True, metavar="N", help="Entities of a wave. Repeatable."
)
@click.option("--policy", type=click.Choice(POLICIES), multiple=True, help="This policy only. Repeatable.")
@click.option("--goal", type=click.FloatRange(1), metavar="SECONDS", help="In which a wave is to be done.")
@click.option("--waves", type=click.IntRange(1), metavar="N", help="How many hourly waves.")
@click.option("--serving", is_flag=True, help="Replay a day of requests instead of waves.")
@click.option("--pattern", is_flag=True, help="Write the own scenario, to be changed, and end.")
@json_option
def simulate(
    path: Path | None,
    entities: tuple[int, ...],
    policy: tuple[str, ...],
    goal: float | None,
    waves: int | None,
    serving: bool,
    pattern: bool,
    as_json: bool,
) -> None:
    """Report how many workers a load needs, what that costs, and how long its waves take.

    Policies: ahead (what is deployed: by the work that is there and that of waves before they are due), cpu (target
    tracking of the CPU, with one task at least), cpu at equal cost (with as many tasks at least as ahead costs).
    """
    if pattern:
        click.echo(DEFAULT.read_text(), nl=False)
        return
    scenario = _changed(load(path), goal, waves)
    sizes, chosen = entities or scenario.trace.entities, policy or POLICIES
    lines = (
        day(scenario)
        if serving
        else list(counted(compare(scenario, sizes, chosen), "simulations", len(sizes) * len(chosen)))
    )
    if as_json:
        write_json([_facts(line, serving) for line in lines])
    elif serving:
        _show_day(lines)
    else:
        _show(scenario, lines)


def _changed(scenario: Scenario, goal: float | None, waves: int | None) -> Scenario:
    if goal is not None:
        scenario = replace(scenario, scaling=replace(scenario.scaling, goal=goal))
    return scenario if waves is None else replace(scenario, trace=replace(scenario.trace, waves=waves))


def _facts(line: Line, serving: bool) -> dict[str, Any]:
    out = line.outcome
    facts = {"policy": line.policy, "tasks": out.tasks, "task_hours": out.hours, "dollars": out.dollars}
    facts["used"] = out.used
    if serving:
        return facts | {"p50_wait_s": out.wait(0.5), "p99_wait_s": out.wait(0.99)}
    waves = {"mean_wave_s": out.mean, "longest_wave_s": out.longest, "waves_s": out.times}
    return {"entities": line.entities} | facts | waves | {"dollars_per_1000_entity_tasks": out.per_thousand}


def _show(scenario: Scenario, lines: Sequence[Line]) -> None:
    head = ["entities", "policy", "wave", "longest", *_COSTS, "per 1,000"]
    rows = [
        [
            f"{line.entities:,}",
            line.policy,
            length(line.outcome.mean),
            length(line.outcome.longest),
            *_costs(line.outcome),
            f"{line.outcome.per_thousand:.5f}",
        ]
        for line in lines
    ]
    table(head, rows, right=[name for name in head if name != "policy"])
    trace, scaling = scenario.trace, scenario.scaling
    click.echo(
        f"\n{trace.waves} waves, one every {length(trace.period)}, each to be done in {length(scaling.goal)}; "
        f"dollars for all of them, and for 1,000 entity-tasks"
    )


def _show_day(lines: Sequence[Line]) -> None:
    head = ["policy", "wait p50", "wait p99", *_COSTS]
    rows = [
        [one.policy, length(one.outcome.wait(0.5)), length(one.outcome.wait(0.99)), *_costs(one.outcome)]
        for one in lines
    ]
    table(head, rows, right=head[1:])
    click.echo("\na day of requests; the wait is that before a slot takes a request")


_COSTS = ("most tasks", "task hours", "used", "dollars")


def _costs(out: Outcome) -> list[str]:
    return [f"{out.tasks:,}", f"{out.hours:,.1f}", f"{out.used:.0%}", f"{out.dollars:,.3f}"]
