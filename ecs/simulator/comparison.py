"""Questions to the simulator: which policy, how many workers, what cost, what delay."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ecs.control.policy import Bounds
from ecs.simulator.outcome import Outcome
from ecs.simulator.policies import Ahead, CpuTracking, Policy
from ecs.simulator.scenario import Scenario
from ecs.simulator.simulation import Arrival, Simulation

FIRST = 900.0  # seconds before the first wave, so that what a cluster costs while it waits is seen
POLICIES = ("ahead", "cpu", "cpu at equal cost")


@dataclass(frozen=True, slots=True)
class Line:
    """One policy at one size."""

    entities: int
    policy: str
    outcome: Outcome


def bounds(scenario: Scenario, least: int = 0) -> Bounds:
    """Return what the service may have."""
    return Bounds(scenario.task.slots, least, scenario.task.most)


def simulate(scenario: Scenario, policy: Policy, entities: int, starting: int = 0) -> Outcome:
    """Run the scenario's waves of one size under a policy."""
    trace = scenario.trace
    arrivals = [Arrival(FIRST + i * trace.period, entities) for i in range(trace.waves)]
    return Simulation(scenario, policy, arrivals, starting, trace.waves * trace.period).run()


def compare(scenario: Scenario, sizes: Sequence[int], names: Sequence[str] = POLICIES) -> Iterator[Line]:
    """Run policies at each size. Waves are not closed at their expiry: one that is late meets the next."""
    for entities in sizes:
        for name in names:
            yield Line(entities, name, _outcome(scenario, name, entities))


def _outcome(scenario: Scenario, name: str, entities: int) -> Outcome:
    if name == "ahead":
        return simulate(scenario, Ahead(scenario.scaling, bounds(scenario)), entities)
    if name == "cpu":
        return _by_cpu(scenario, entities, 1)
    return _equal(scenario, entities)


def _by_cpu(scenario: Scenario, entities: int, least: int) -> Outcome:
    return simulate(scenario, CpuTracking(scenario.scaling, bounds(scenario, least)), entities, least)


def _equal(scenario: Scenario, entities: int) -> Outcome:
    """Simulate CPU tracking with the largest least number of tasks that costs no more than pre-scaling, or with one."""
    ahead = _outcome(scenario, "ahead", entities)
    least = max(int(ahead.hours * 3600 / (scenario.trace.waves * scenario.trace.period)), 1)
    while True:
        found = _by_cpu(scenario, entities, least)
        if least == 1 or found.dollars <= ahead.dollars:
            return found
        least = max(int(least * 0.9), 1)
