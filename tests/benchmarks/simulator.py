"""How far the simulator is off: `python -m tests.benchmarks.simulator [--json FILE] [--full]`.

A small wave measures what an entity, a message and the start of a worker cost. Then waves run with real workers, and
one more worker is started while each runs; the simulator is told the sizes and when a worker was asked for, and says
when the wave ends. Without --full it takes less than a minute.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ecs.simulator.scenario import FlowModel, Scenario, Stage, TaskModel
from ecs.simulator.simulation import Arrival, Simulation
from pipeline.local.embedded import serving
from pipeline.local.processes import Workers
from pipeline.settings import Settings
from pipeline.waves.runtime import Runtime
from pipeline.waves.submit import submit_wave
from pipeline.waves.task_costs import read_costs
from pipeline.waves.wave import Wave
from tests.benchmarks import simulator_flows
from tests.support.scaling import Fixed

VERSION = "benchmark"
PATIENCE = 120.0  # seconds until a wave must have ended
PILOT = 160  # entities of the wave that measures the costs


@dataclass(frozen=True, slots=True)
class Trial:
    """A wave that is run and simulated."""

    entities: int
    added: float  # seconds after its submission at which one more worker is asked for


QUICK = (Trial(700, 2.0), Trial(900, 2.0))
FULL = (*QUICK, Trial(1500, 5.0), Trial(3000, 10.0), Trial(3000, 1.0))


@dataclass(frozen=True, slots=True)
class Known:
    """What the pilot measured, in seconds."""

    fetch: float
    work: float
    message: float
    start: float  # of a worker

    def scenario(self, shard: int) -> Scenario:
        """Tell the simulator of it."""
        stages = (Stage("fetch", self.fetch), Stage("work", self.work))
        flow = FlowModel(stages, message=self.message, submit=0.0, spread=0.0, shard=shard)
        return Scenario(flow, task=TaskModel(slots=1))


def submit(runtime: Runtime, entities: int, hour: int) -> Wave:
    """Submit a wave of an hour of its own."""
    names = {f"e{n:05}": {} for n in range(entities)}
    return submit_wave(simulator_flows.flow, date=f"2026-01-01T{hour:02}", entities=names, runtime=runtime)


def took(wave: Wave) -> float:
    """Wait for a wave's end; gives the seconds from its submission, by Redis' clock."""
    info = wave.wait(PATIENCE).info()
    assert info.ended is not None
    assert wave.progress().count("finished") == wave.progress().total
    return info.ended - info.submitted


def pilot(runtime: Runtime, start: float) -> Known:
    """Measure what an entity and a message cost, on one worker."""
    wave = submit(runtime, PILOT, 0)
    seconds = took(wave)
    costs = read_costs(runtime.client, VERSION, "calibration")
    messages = 2 * len(wave.spec.sizes)
    message = max(seconds - PILOT * (costs["fetch"] + costs["work"]), 0.0) / messages
    return Known(costs["fetch"], costs["work"], message, start)


def measure(runtime: Runtime, workers: Workers, known: Known, trial: Trial, hour: int) -> dict[str, float]:
    """Run one wave and simulate it; gives seconds and the error, as a share of what was measured."""
    present = len(workers.children)
    wave = submit(runtime, trial.entities, hour)
    time.sleep(trial.added)
    asked = time.time()
    child = workers.add()
    measured = took(wave)
    workers.wait_ready()
    started = child.ready.stat().st_mtime - asked
    scenario = known.scenario(max(wave.spec.sizes))

    def simulated(*joins: float) -> float:
        arrivals = [Arrival(0.0, trial.entities)]
        return Simulation(scenario, Fixed(present), arrivals, present, joins=joins).run().longest

    foreseen, told = simulated(trial.added + known.start), simulated(trial.added + started)
    return {
        "entities": trial.entities,
        "workers": present,
        "measured_s": round(measured, 3),
        "simulated_s": round(foreseen, 3),
        "error": round(foreseen / measured - 1, 4),
        "error_with_the_true_start": round(told / measured - 1, 4),
        "without_the_new_worker_s": round(simulated(), 3),
        "started_s": round(started, 3),
    }


def run(trials: Sequence[Trial]) -> dict[str, object]:
    """Measure everything on a Redis of its own."""
    with serving(None) as url:
        runtime = Runtime(Settings(redis_url=url, version=VERSION))
        with Workers(url, [simulator_flows.__name__], count=0, version=VERSION) as workers:
            asked, child = time.time(), workers.add()
            workers.wait_ready()
            known = pilot(runtime, child.ready.stat().st_mtime - asked)
            found = [measure(runtime, workers, known, trial, n + 1) for n, trial in enumerate(trials)]
    errors, pure = ([abs(one[name]) for one in found] for name in ("error", "error_with_the_true_start"))
    return {
        "message_ms": round(known.message * 1000, 2),
        "start_s": round(known.start, 3),
        "waves": found,
        "median_error": round(statistics.median(errors), 4),
        "largest_error": max(errors),
        "largest_error_with_the_true_start": max(pure),
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print, and write the figures."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.simulator", description=__doc__)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    parser.add_argument("--full", action="store_true", help="more and longer waves")
    options = parser.parse_args(argv)
    began = time.monotonic()
    figures = run(FULL if options.full else QUICK)
    print(f"a message costs {figures['message_ms']} ms, a worker starts in {figures['start_s']} s")
    for one in figures["waves"]:
        print(
            f"{one['entities']:>6,} entities, {one['workers']} workers + 1: measured {one['measured_s']:.1f} s, "
            f"simulated {one['simulated_s']:.1f} s ({one['error']:+.1%}, {one['error_with_the_true_start']:+.1%} "
            f"when told its start, {one['started_s']:.1f} s); without it {one['without_the_new_worker_s']:.1f} s"
        )
    print(
        f"error: median {figures['median_error']:.1%}, largest {figures['largest_error']:.1%}; "
        f"when told the start, {figures['largest_error_with_the_true_start']:.1%} at most"
    )
    figures["seconds"] = round(time.monotonic() - began, 1)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
