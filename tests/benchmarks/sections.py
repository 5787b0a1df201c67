"""The parts of the benchmark: each takes some figures."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline import Flow
from pipeline.local.processes import Workers
from tests.benchmarks import chords_app, flows
from tests.benchmarks.child import Child
from tests.benchmarks.harness import VERSION, Clock, Lab, names, rounds, slot

ENTITIES = 10_000
CHORDS = (40, 250)  # entities of the chords' rival, which is slow: so many as take about a second
NAPS = 32  # entities a worker
NAPPERS = (1, 2, 4, 8)  # workers
TASKS = len(flows.OBJECTS)

Figures = dict[str, Any]
Sizes = tuple[int, int, int]


@dataclass(frozen=True)
class Bench:
    """What the parts work with."""

    lab: Lab
    child: Child
    workers: Workers
    sizes: Sizes  # numbers of entities between which marginal costs are taken
    full: bool
    clock: Clock

    def rounds(self, part: float, least: int, most: int) -> Iterable[int]:
        """Count the rounds of a section, which may take that part of the time that is left."""
        if self.full:
            return range(most)
        left = self.clock.left()
        return rounds(left * part, least if left else 1, most)


def states(sizes: Sizes) -> set[int]:
    """Give the sizes of all states that the parts run over."""
    return {1, 10, ENTITIES, *sizes, *(NAPS * count for count in NAPPERS)}


def rate(seconds: Sequence[float], entities: int = ENTITIES) -> int:
    """Give entity-tasks a second."""
    return round(entities * TASKS / statistics.median(seconds))


def ratio(theirs: Sequence[float], ours: Sequence[float]) -> float:
    """Say how many times as fast we are, turn by turn."""
    return statistics.median(t / o for t, o in zip(theirs, ours, strict=True))


def start_workers(bench: Bench, count: int) -> None:
    """Start workers until there are so many."""
    while len(bench.workers.children) < count:
        bench.workers.add()
    bench.workers.wait_ready()


def prepare(bench: Bench) -> int:
    """Let everybody import, connect and learn what the tasks cost, before anything is measured.

    Gives for how many entities the chords are to be run.
    """
    bench.lab.wave(flows.objects, ENTITIES)
    bench.lab.wave(flows.threads, bench.sizes[0])
    bench.child.objects(names(1_000), "warm")
    chords_app.run(names(20), "warm")
    seconds = chords_app.run(names(20), "again") / 20
    bench.lab.tidy()
    return max(CHORDS[0], min(int(1.0 / seconds), CHORDS[1]))


def messages(lab: Lab) -> Figures:
    """Look at the queues before a worker runs. The first messages are the largest: they carry what follows."""
    client = lab.runtime.client
    found = {}
    for flow in (flows.objects, flows.thirty):
        wave = lab.submit(flow, ENTITIES)
        queues = list(client.scan_iter(match=f"{VERSION}.*", _type="list"))
        found[flow.name] = max(len(message) for queue in queues for message in client.lrange(queue, 0, -1))
        wave.cancel()
        client.delete(*queues)
    return {
        "message_bytes": max(found.values()),
        "message_bytes_5_tasks": found["objects"],
        "message_bytes_30_tasks": found["thirty"],
    }


def throughput(bench: Bench, few: int) -> Figures:
    """JSON objects: ours, the pipelines and (for a few entities) the chords in turn."""
    ours, plain, mget, chords = [], [], [], []
    for i in bench.rounds(0.4, 2, 7):
        ours.append(bench.lab.wave(flows.objects, ENTITIES).total)
        plain.append(bench.child.objects(names(ENTITIES), f"objects-{i}"))
        mget.append(bench.child.objects_mget(names(ENTITIES), f"mget-{i}"))
        chords.append(chords_app.run(names(few), f"objects-{i}"))
        bench.lab.tidy()
    whole = [seconds / few * ENTITIES for seconds in chords]
    return {
        "rate": rate(ours),
        "rate_pipelines": rate(plain),
        "rate_mget": rate(mget),
        "rate_chords": rate(chords, few),
        "ratio_to_pipelines": round(ratio(plain, ours), 3),
        "ratio_to_mget": round(ratio(mget, ours), 3),
        "ratio_to_chords": round(ratio(whole, ours), 1),
        "rounds": len(ours),
    }


def numbers(bench: Bench) -> Figures:
    """Numbers with series, beside a process that writes the same slots. The first waves make the series."""
    bench.lab.tidy()
    bench.lab.wave(flows.numbers, ENTITIES)
    first = slot(next(bench.lab.hours))
    bench.child.numbers(names(ENTITIES), "warm", first)
    return beside(
        bench, flows.numbers, lambda i: bench.child.numbers(names(ENTITIES), f"numbers-{i}", first + i)
    )


def threads(bench: Bench) -> Figures:
    """Collections in 8 threads, beside a process that does the same."""
    return beside(bench, flows.threads, lambda i: bench.child.threads(names(ENTITIES), f"threads-{i}"))


def beside(bench: Bench, flow: Flow, rival: Callable[[int], float]) -> Figures:
    """A flow and its rival in turn."""
    ours, plain = [], []
    for i in bench.rounds(0.2, 1, 5):
        ours.append(bench.lab.wave(flow, ENTITIES).total)
        plain.append(rival(i))
    return {
        f"rate_{flow.name}": rate(ours),
        f"rate_{flow.name}_pipelines": rate(plain),
        f"ratio_{flow.name}_to_pipelines": round(ratio(plain, ours), 3),
    }


def growth(bench: Bench) -> Figures:
    """Waves of three sizes, and of one entity, in turn; the marginal cost of a step is taken within a turn."""
    low, middle, high = bench.sizes
    turns = []
    for _ in bench.rounds(0.9, 3, 7):
        # The small ones are quick, and a disturbance weighs more in them.
        again = {1: 3, low: 3, middle: 2, high: 1}
        turns.append({size: _one_size(bench, size, count) for size, count in again.items()})
    at = {size: statistics.median(turn[size] for turn in turns) for size in turns[0]}
    first = statistics.median((turn[middle] - turn[low]) / (middle - low) for turn in turns)
    second = statistics.median((turn[high] - turn[middle]) / (high - middle) for turn in turns)
    cheap, dear = sorted((max(first, 1e-9), max(second, 1e-9)))
    return {
        "wave_fixed_s": round(at[1], 4),
        "marginal_us_low": round(first * 1e6, 2),
        "marginal_us_high": round(second * 1e6, 2),
        "marginal_spread": round(dear / cheap - 1, 3),
        **{f"wave_s_{size}": round(at[size], 4) for size in bench.sizes},
    }


def _one_size(bench: Bench, size: int, again: int) -> float:
    taken = []
    for _ in range(again):
        bench.lab.tidy()
        taken.append(bench.lab.wave(flows.objects, size).total)
    return statistics.median(taken)


def sleep(bench: Bench, count: int) -> Figures:
    """Tasks that sleep, on so many workers; what they cost is known from an earlier wave."""
    start_workers(bench, count)
    if count == 1:
        bench.lab.wave(flows.naps, 10)
    taken = [bench.lab.wave(flows.naps, NAPS * count).total for _ in range(3 if bench.full else 1)]
    return {f"sleep_s_{count}": round(statistics.median(taken), 3)}


def sleep_spread(figures: Figures) -> Figures:
    """Compare the times of all numbers of workers."""
    taken = [figures[f"sleep_s_{count}"] for count in NAPPERS]
    return {"sleep_spread": round(max(taken) / min(taken) - 1, 3)}
