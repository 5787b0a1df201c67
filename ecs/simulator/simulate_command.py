"""`wave ecs simulate`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from ecs.simulator.comparison import POLICIES, Line, compare
from ecs.simulator.scenario import DEFAULT, Scenario, load
from pipeline.cli.options import json_option
from pipeline.cli.output import table, write_json
from pipeline.cli.waiting import counted
from pipeline.formatting import length


@click.command()
@click.option(
    "--scenario",
    "path",
    type=click.Path(path_type=Path),
    help="TOML file; --pattern writes one to start from.",
)
@click.option(
    "--entities", type=click.IntRange(1), multiple=True, metavar="N", help="Entities of a wave. Repeatable."
)
@click.option("--policy", type=click.Choice(POLICIES), multiple=True, help="This policy only. Repeatable.")
@click.option(
    "--goal", type=click.FloatRange(1), metavar="SECONDS", help="Time within which a wave is to be done."
)
@click.option("--waves", type=click.IntRange(1), metavar="N", help="How many hourly waves.")
@click.option("--pattern", is_flag=True, help="Write the built-in scenario, to be changed, and end.")
@json_option
def simulate(
    path: Path | None,
    entities: tuple[int, ...],
    policy: tuple[str, ...],
    goal: float | None,
    waves: int | None,
    pattern: bool,
    as_json: bool,
) -> None:
    """Report how many workers a load needs, what that costs, and how long its waves take.

    Policies: ahead (what is deployed: by the work at hand and, before they are due, that of coming waves), cpu (target
    tracking of the CPU, with one task at least), cpu at equal cost (with as many tasks at least as ahead costs).
    """
    if pattern:
        click.echo(DEFAULT.read_text(), nl=False)
        return
    scenario = _changed(load(path), goal, waves)
    sizes, chosen = entities or scenario.trace.entities, policy or POLICIES
    lines = list(counted(compare(scenario, sizes, chosen), "simulations", len(sizes) * len(chosen)))
    if as_json:
        write_json([_facts(line) for line in lines])
    else:
        _show(scenario, lines)


def _changed(scenario: Scenario, goal: float | None, waves: int | None) -> Scenario:
    if goal is not None:
        scenario = replace(scenario, scaling=replace(scenario.scaling, goal=goal))
    return scenario if waves is None else replace(scenario, trace=replace(scenario.trace, waves=waves))


def _facts(line: Line) -> dict[str, Any]:
    out = line.outcome
    return {
        "entities": line.entities,
        "policy": line.policy,
        "tasks": out.tasks,
        "task_hours": out.hours,
        "dollars": out.dollars,
        "dollars_per_1000_entity_tasks": out.per_thousand,
        "mean_wave_s": out.mean,
        "longest_wave_s": out.longest,
        "waves_s": out.times,
        "used": out.used,
    }


def _show(scenario: Scenario, lines: Sequence[Line]) -> None:
    head = [
        "entities",
        "policy",
        "wave",
        "longest",
        "most tasks",
        "task hours",
        "used",
        "dollars",
        "per 1,000",
    ]
    rows = [
        [
            f"{line.entities:,}",
            line.policy,
            length(out.mean),
            length(out.longest),
            f"{out.tasks:,}",
            f"{out.hours:,.1f}",
            f"{out.used:.0%}",
            f"{out.dollars:,.3f}",
            f"{out.per_thousand:.5f}",
        ]
        for line in lines
        for out in [line.outcome]
    ]
    table(head, rows, right=[name for name in head if name != "policy"])
    trace, scaling = scenario.trace, scenario.scaling
    click.echo(
        f"\n{trace.waves} waves, one every {length(trace.period)}, each to be done in {length(scaling.goal)}; "
        f"dollars for all of them, and for 1,000 entity-tasks"
    )
