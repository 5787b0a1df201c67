"""Questions to the simulator: which policy, how many workers, what cost, what delay."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from ecs.control.policy import Bounds, Work, tasks_for_waves
from ecs.simulator.outcome import Outcome
from ecs.simulator.policies import Fixed, Policy, by_backlog, by_cpu, by_length
from ecs.simulator.scenario import FlowModel, Scenario, Stage
from ecs.simulator.simulation import Arrival, Simulation

FIRST = 900.0  # seconds before the first wave, so that what a cluster costs while it waits is seen
POLICIES = ("fixed", "cpu", "cpu at equal cost", "queue", "backlog", "ahead")


@dataclass(frozen=True, slots=True)
class Line:
    """One policy at one size."""

    entities: int
    policy: str
    outcome: Outcome


def bounds(scenario: Scenario) -> Bounds:
    """What the service may have."""
    return Bounds(scenario.task.slots, 0, scenario.task.most)


def needed(scenario: Scenario, entities: int) -> int:
    """Say how many tasks a wave needs to be done in the scenario's goal when they are there at its start."""
    flow = scenario.flow
    size = flow.shard_size(entities)
    units = -(-entities // size) * len(flow.stages)
    work = Work(flow.each * entities, scenario.scaling.goal, flow.each * size, units)
    return tasks_for_waves([work], 0, bounds(scenario))


def hourly(scenario: Scenario, entities: int) -> tuple[list[Arrival], float]:
    """Make the trace of the scenario for one size; gives it with when it ends."""
    trace = scenario.trace
    return [
        Arrival(FIRST + i * trace.period, entities) for i in range(trace.waves)
    ], trace.waves * trace.period


def simulate(scenario: Scenario, policy: Policy, entities: int, starting: int = 0) -> Outcome:
    """Run the scenario's waves of one size under a policy."""
    arrivals, until = hourly(scenario, entities)
    return Simulation(scenario, policy, arrivals, starting, until).run()


def compare(scenario: Scenario, sizes: Sequence[int], names: Sequence[str] = POLICIES) -> Iterator[Line]:
    """Run all policies at each size.

    `fixed` has all the time what a wave needs. Waves are not closed at their expiry: one that is late meets the next.
    """
    for entities in sizes:
        for name in names:
            yield Line(entities, name, _outcome(scenario, name, entities))


def _outcome(scenario: Scenario, name: str, entities: int) -> Outcome:
    limits, scaling = bounds(scenario), scenario.scaling
    if name == "fixed":
        tasks = needed(scenario, entities)
        return simulate(scenario, Fixed(tasks), entities, tasks)
    if name == "cpu":
        return simulate(scenario, by_cpu(scaling, limits), entities, 1)
    if name == "cpu at equal cost":
        return _equal(scenario, entities)
    if name == "queue":
        return simulate(scenario, by_length(scaling, limits), entities)
    return simulate(scenario, by_backlog(scaling, limits, ahead=name == "ahead"), entities)


def _equal(scenario: Scenario, entities: int) -> Outcome:
    """Give CPU tracking the most tasks at least for which it costs no more than pre-scaling; one, if it must be."""
    ahead = _outcome(scenario, "ahead", entities)
    least = max(int(ahead.hours * 3600 / (scenario.trace.waves * scenario.trace.period)), 1)
    while True:
        tracking = by_cpu(scenario.scaling, replace(bounds(scenario), least=least), "cpu at equal cost")
        found = simulate(scenario, tracking, entities, least)
        if least == 1 or found.dollars <= ahead.dollars:
            return found
        least = max(int(least * 0.9), 1)


def day(scenario: Scenario) -> list[Line]:
    """Replay the uneven day of requests: each second what came in it, a message for those of one second at most."""
    serving = scenario.serving
    flow = FlowModel((Stage("request", serving.seconds, serving.cpu),), message=0.002, submit=0.0, shard=1)
    flow = replace(flow, shard=max(int(0.5 / serving.seconds), 1))
    own = replace(
        scenario,
        flow=flow,
        task=replace(scenario.task, slots=serving.slots),
        scaling=replace(scenario.scaling, goal=serving.goal, hold=300.0),
    )
    arrivals = [
        Arrival(number * serving.part + second, max(round(rate), 1), known=False)
        for number, rate in enumerate(serving.day)
        for second in range(int(serving.part))
    ]
    limits = replace(bounds(own), least=1)
    peak = -(-int(max(serving.day) * serving.seconds * 10) // (7 * serving.slots))  # busy for 70 %
    policies: list[Policy] = [
        Fixed(peak),
        by_cpu(own.scaling, limits),
        by_length(own.scaling, limits),
        by_backlog(own.scaling, limits, False),
    ]
    until = len(serving.day) * serving.part
    return [
        Line(len(arrivals), policy.name, Simulation(own, policy, arrivals, peak, until).run())
        for policy in policies
    ]
