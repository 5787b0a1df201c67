"""What metrics and logs cost: `python -m tests.benchmarks.observing [--json FILE] [--pairs N] [--strict]`.

CPU seconds of waves in pairs, in turn: with text logs of warnings and nobody who asks for metrics, and with JSON logs
of every message (level INFO) while a process writes all metrics every five seconds, as Prometheus would have it. Each
side has a worker of its own, on queues of its own; counted are that worker, Redis and the process that writes metrics,
which stands still during the other side's waves.
The figure is the median of the ratios within each pair. Without --pairs it takes less than a minute.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from statistics import median

import psutil
from prometheus_client import CollectorRegistry, generate_latest

from pipeline import submit_wave
from pipeline.local.processes import Workers, worker_env
from pipeline.local.supervise import Processes
from pipeline.monitoring.metrics import WaveCollector
from pipeline.settings import Settings
from pipeline.waves.runtime import Runtime
from tests.benchmarks import flows
from tests.benchmarks.harness import names, new_hours, state_of
from tests.support.breakable_redis import BreakableRedis

ENTITIES = 5_000
WAVES = 8  # of each side in a pair: some seconds, so that there is a scrape or two
LIMIT = 1.05  # of the CPU seconds without
EVERY = 5.0  # seconds between two scrapes


@dataclass
class Side:
    """One way to run waves."""

    runtime: Runtime
    workers: Workers
    redis: int  # its process id
    hours: Iterator[datetime]
    scraper: int | None = None  # process id of what writes metrics

    def cpu(self) -> float:
        """Give the CPU seconds so far of all that is counted."""
        roots = [*self.workers.pids, self.redis, *([self.scraper] if self.scraper else [])]
        return sum(_seconds(pid) for pid in roots)

    def run(self) -> float:
        """Run some waves; gives the CPU seconds of one."""
        if self.scraper:
            os.kill(self.scraper, signal.SIGCONT)  # it is due by now, and scrapes at once
        before = self.cpu()
        for _ in range(WAVES):
            wave = submit_wave(
                flows.objects, date=next(self.hours), state=state_of(ENTITIES), runtime=self.runtime
            )
            wave.wait(120)
        took = self.cpu() - before
        if self.scraper:
            os.kill(self.scraper, signal.SIGSTOP)
        return took / WAVES


def _seconds(pid: int) -> float:
    """Add up user and system time of a process and of its children."""
    root = psutil.Process(pid)
    times = [process.cpu_times() for process in [root, *root.children(recursive=True)]]
    return sum(t.user + t.system for t in times)


def sides(stack: ExitStack, redis: BreakableRedis, processes: Processes) -> tuple[Side, Side]:
    """Start both: plain and observed."""
    found = []
    for version, env, level in (("plain", "text", "WARNING"), ("observed", "json", "INFO")):
        runtime = Runtime(Settings(redis_url=redis.url, version=version))
        options, more = ["-l", level], {"PIPELINE_LOG": env}
        workers = Workers(redis.url, [flows.__name__], 1, 2, version, more, options=options, patience=0)
        found.append(Side(runtime, stack.enter_context(workers), redis.pid, new_hours()))
    found[0].runtime.states.bind(state_of(ENTITIES)).update({name: {} for name in names(ENTITIES)})
    for side in found:
        side.workers.wait_ready()
    command = [sys.executable, "-m", "tests.benchmarks.observing", "--scrape"]
    found[1].scraper = processes.start("scraper", command, worker_env(redis.url, [], "observed")).pid
    return found[0], found[1]


def scrape() -> None:
    """Write all metrics again and again."""
    found = CollectorRegistry()
    found.register(WaveCollector(Runtime(Settings.from_env())))
    while True:
        generate_latest(found)
        time.sleep(EVERY)


def measure(pairs: int) -> dict[str, float]:
    """Give the median CPU seconds of a wave of each side, and the median of their ratios."""
    with BreakableRedis() as redis, ExitStack() as stack, Processes(patience=0) as processes:
        plain, observed = sides(stack, redis, processes)
        for side in (plain, observed):
            side.run()  # to be warm
        found = []
        for n in range(pairs):
            order = (plain, observed) if n % 2 == 0 else (observed, plain)
            took = {id(side): side.run() for side in order}
            found.append((took[id(plain)], took[id(observed)]))
    ratios = [b / a for a, b in found]
    return {
        "pairs": pairs,
        "plain_cpu_s": round(median(a for a, _ in found), 3),
        "observed_cpu_s": round(median(b for _, b in found), 3),
        "ratio": round(median(ratios), 4),
        "ratio_least": round(min(ratios), 4),
        "ratio_most": round(max(ratios), 4),
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print, and write the figures."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.observing", description=__doc__)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    parser.add_argument("--pairs", type=int, default=3, metavar="N", help="10 for a figure to be told")
    parser.add_argument("--strict", action="store_true", help="exit code 1 where it costs more than 5 %%")
    parser.add_argument("--scrape", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.scrape:
        scrape()
    figures = measure(options.pairs)
    for name, value in figures.items():
        print(f"{name:<16}{value:>10}")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")
    return int(options.strict and figures["ratio"] > LIMIT)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
